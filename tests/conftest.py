"""What all tests need of the process that they run in."""

import os

from foundation.loopback import bypass_proxies
from tests.servers import jvm

pytest_plugins = ["tests.schedule"]

bypass_proxies()
os.environ.setdefault("SPARK_SUBMIT_OPTS", jvm.OPTIONS)
