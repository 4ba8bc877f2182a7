"""What the localstack image does, with the LocalStack of .pinflow: its own main, with Node and Kinesis from there too.

Run with `-I` by the interpreter of LocalStack's environment. Unlike natively it takes the addresses that it likes: a
container has them for itself.
"""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path

from localstack import config
from localstack.runtime import main

if __name__ == "__main__":
    native = runpy.run_path("/opt/pinflow/services/localstack/start.py")
    native["replace"](config.dirs, "static_libs", str(Path(sys.prefix) / "share" / "localstack"))  # by install.py
    os.environ["PATH"] = f"{native['NODE']}{os.pathsep}{os.environ['PATH']}"
    main.main()
