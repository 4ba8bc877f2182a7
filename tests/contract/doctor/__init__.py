"""The doctor against far ends that are wrong in one way each."""
