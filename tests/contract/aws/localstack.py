"""`<LocalStack's python> localstack.py`: LocalStack as it comes, empty, without the hooks that make our resources."""

import runpy
from pathlib import Path

from localstack.runtime import main

if __name__ == "__main__":
    start = Path(__file__).resolve().parents[3] / "services" / "localstack" / "start.py"
    runpy.run_path(str(start))["confine"]()
    main.main()
