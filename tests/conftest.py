"""What all tests need of the process that they run in."""

import os

from foundation.loopback import bypass_proxies

pytest_plugins = ["tests.schedule"]

bypass_proxies()
# Most plans run once or twice here: without the second compiler, Spark starts with half the CPU time.
os.environ.setdefault("SPARK_SUBMIT_OPTS", "-XX:TieredStopAtLevel=1")
