"""LocalStack runs this before it listens: see `list_keys_with_plus` in services/localstack/compat.py."""

import os
import runpy

runpy.run_path(os.environ["PINFLOW_DIRECTORY"] + "/services/localstack/compat.py")["list_keys_with_plus"]()
