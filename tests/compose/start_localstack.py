"""What the localstack image does, with the LocalStack of .pinflow: its own main, with Node and Kinesis from there too.

Run with `-I` by the interpreter of LocalStack's environment. Unlike natively it takes the addresses that it likes: a
container has them for itself.
"""

from __future__ import annotations

import runpy

from localstack.runtime import main

if __name__ == "__main__":
    runpy.run_path("/opt/pinflow/services/localstack/compat.py")["use_installed_files"]()
    main.main()
