"""`python -m pinflow`."""

from pinflow.cli import main

main()
