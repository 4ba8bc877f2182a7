"""LocalStack runs this before it listens: see `read_json_paths_fast` in services/localstack/compat.py."""

import os
import runpy

runpy.run_path(os.environ["PINFLOW_DIRECTORY"] + "/services/localstack/compat.py")["read_json_paths_fast"]()
