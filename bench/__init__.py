"""Benchmarks: each figure beside the plain way, measured in the same run."""
