"""`<LocalStack's python> main.py [MODULE:CLASS.NAME]`: LocalStack's own main(), on 127.0.0.1, without start.py.

With a name it first deletes that one from LocalStack, as a later version might.
"""

import importlib
import runpy
import sys
from pathlib import Path

from localstack.runtime import main

if __name__ == "__main__":
    compat = runpy.run_path(str(Path(__file__).resolve().parents[3] / "services" / "localstack" / "compat.py"))
    compat["listen_on_loopback"]()
    for name in sys.argv[1:]:
        module, _, path = name.partition(":")
        owner, _, attribute = path.rpartition(".")
        delattr(getattr(importlib.import_module(module), owner), attribute)
    main.main()
