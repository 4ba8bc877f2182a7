"""The services on one machine: what one is, how they are started, waited for and stopped."""
