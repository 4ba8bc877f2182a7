"""What all tests need of the process that they run in."""

from foundation.loopback import bypass_proxies

pytest_plugins = ["tests.schedule"]

bypass_proxies()
