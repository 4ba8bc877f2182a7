"""`<LocalStack's python> localstack.py`: LocalStack as it comes, empty, without the hooks that make our resources."""

import os
import runpy
from pathlib import Path

from localstack.runtime import main

ROOT = Path(__file__).resolve().parents[3]
LOCALSTACK = ROOT / "services" / "localstack"

if __name__ == "__main__":
    runpy.run_path(str(LOCALSTACK / "start.py"))["confine"]()
    os.environ["PINFLOW_DIRECTORY"] = str(ROOT)
    runpy.run_path(str(LOCALSTACK / "start.d" / "keep_kinesis_on_disk.py"))
    main.main()
