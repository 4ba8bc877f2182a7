"""Ports for servers of tests that no other test run on this machine is given as well."""

from __future__ import annotations

import fcntl
import getpass
import tempfile
from pathlib import Path

from foundation.loopback import is_free

FIRST, LAST = 18_000, 32_000
"""Above the ports of a user's own stack and below those that the system gives to clients."""


def free_port(count: int = 1) -> int:
    """The first of ``count`` ports in a row that nothing listens on.

    A server that is started again finds its port free, and two runs that look at the same moment get different ones:
    each run goes on from where the last one stopped.
    """
    with (Path(tempfile.gettempdir()) / f"pinflow-test-ports-{getpass.getuser()}").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        port = int(file.read() or FIRST)
        for _ in range(LAST - FIRST):
            if port + count > LAST:
                port = FIRST
            taken = next((p for p in range(port, port + count) if not is_free(p)), None)
            if taken is None:
                file.truncate(0)
                file.write(str(port + count))
                return port
            port = taken + 1
    raise AssertionError(f"no free port from {FIRST} to {LAST}")
