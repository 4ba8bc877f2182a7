"""LocalStack runs this before it listens: see `limit_payload` in services/localstack/compat.py."""

import os
import runpy

runpy.run_path(os.environ["PINFLOW_DIRECTORY"] + "/services/localstack/compat.py")["limit_payload"]()
