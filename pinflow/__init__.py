"""The tool around the pipeline: profile, stack, status, verification and reports."""
