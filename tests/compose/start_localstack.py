"""What the localstack image does, with the LocalStack of .pinflow: its own main, with its Kinesis from there too.

Run with `-I` by the interpreter of LocalStack's environment. Unlike natively it takes the addresses that it likes: a
container has them for itself.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from localstack import config
from localstack.runtime import main
from localstack.services.kinesis.kinesis_mock_server import KinesisServerManager

if __name__ == "__main__":
    native = runpy.run_path("/opt/pinflow/services/localstack/start.py")
    KinesisServerManager._create_kinesis_mock_server = native["_kinesis"]
    config.dirs.static_libs = str(Path(sys.prefix) / "share" / "localstack")  # what install.py computed
    main.main()
