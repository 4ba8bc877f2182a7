"""LocalStack runs this before it listens: see `keep_kinesis_on_disk` in services/localstack/compat.py."""

import os
import runpy

runpy.run_path(os.environ["PINFLOW_DIRECTORY"] + "/services/localstack/compat.py")["keep_kinesis_on_disk"]()
