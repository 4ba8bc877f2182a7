"""What all tests need of the process that they run in."""

from pinflow.loopback import bypass_proxies

bypass_proxies()
