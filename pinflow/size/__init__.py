"""`pinflow size`: what the pipeline needs on AWS at a rate, and where it would break first. See docs/scale.md."""
