"""LocalStack runs this before it listens: see `answer_503_until_ready` in services/localstack/compat.py."""

import os
import runpy

runpy.run_path(os.environ["PINFLOW_DIRECTORY"] + "/services/localstack/compat.py")["answer_503_until_ready"]()
