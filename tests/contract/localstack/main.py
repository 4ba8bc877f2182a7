"""`<LocalStack's python> main.py [MODULE:CLASS.NAME]`: LocalStack's own main(), on 127.0.0.1, without start.py's rest.

With a name it first takes that one out of LocalStack, as a later version might.
"""

import importlib
import runpy
import sys
from pathlib import Path

from localstack.runtime import main
from localstack.runtime.server import twisted

if __name__ == "__main__":
    start = runpy.run_path(str(Path(__file__).resolve().parents[3] / "services" / "localstack" / "start.py"))
    start["replace"](twisted.endpoints, "TCP4ServerEndpoint", start["Loopback"])
    for name in sys.argv[1:]:
        module, _, path = name.partition(":")
        owner, _, attribute = path.rpartition(".")
        delattr(getattr(importlib.import_module(module), owner), attribute)
    main.main()
