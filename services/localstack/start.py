"""`python services/localstack/start.py`: LocalStack as a plain process, run by the interpreter of its own environment.

LocalStack is made for a container and assumes that it owns the machine. Before its own main() runs, what has no setting
is changed here (compat.py); the rest is done by start.d/ and ready.d/, here as in its image.
"""

from __future__ import annotations

import os
import runpy
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from localstack.runtime import main

compat = runpy.run_path(str(Path(__file__).with_name("compat.py")))


class Output:
    """stdout or stderr whose reader may be gone: LocalStack writes a line when a signal ends it.

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


def confine() -> None:
    """Keep LocalStack to loopback, to its own directory and to what is installed; to be called before its main()."""
    compat["listen_on_loopback"]()
    compat["use_installed_files"]()
    compat["use_own_directories"]()
    sys.stdout, sys.stderr = Output(sys.stdout), Output(sys.stderr)  # type: ignore[assignment]
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN"):  # the user's, for another AWS
        os.environ.pop(name, None)


if __name__ == "__main__":
    compat["run_own_hooks"]()
    confine()
    main.main()
