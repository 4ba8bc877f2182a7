"""LocalStack runs this inside itself before it listens: its Kinesis keeps on disk what it has taken.

LocalStack starts kinesis-local as it comes and kills it at its own end. What it took since its last write is lost then,
and a file that is half written keeps it from starting ever again. Here it starts with kinesis/preload.js, and its stdin
tells it to write and to end, also when LocalStack itself is killed.
"""

import json
import logging
import os
import subprocess
from pathlib import Path

from localstack.services.kinesis.kinesis_mock_server import KinesisMockNodeServer
from localstack.services.kinesis.packages import kinesismock_package
from localstack.utils.run import ShellCommandThread

KINESIS = Path(os.environ["PINFLOW_DIRECTORY"]) / "services" / "localstack" / "kinesis"
# In the 16 MB that Node gives to new objects by default an answer of a thousand records does not fit: twice the CPU.
OPTIONS = ("--max-semi-space-size=64", "--require", str(KINESIS / "preload.js"))
LONGEST_WRITE = 20  # seconds: much to write, and a busy machine; SHUTDOWN_TIMEOUT in localstack.env is longer

log = logging.getLogger("localstack.pinflow.kinesis")


class UntilStdinCloses(ShellCommandThread):
    def stop(self, quiet=False):
        """Close stdin, upon which the process writes its data and exits; LocalStack's own way is SIGKILL at once."""
        self.auto_restart = False
        process, self.process = self.process, None
        if process is not None:
            process.stdin.close()
            try:
                process.wait(timeout=LONGEST_WRITE)
            except subprocess.TimeoutExpired:
                log.warning("Kinesis did not write its data within %s s: killed", LONGEST_WRITE)
                process.kill()
        self.stopped = True


def start_with_preload(server):
    (node, *program), settings = server._create_shell_command()

    def listen(line, **_):
        """What preload.js says is for whoever reads LocalStack's log; what kinesis-local says, as LocalStack has it."""
        if line.startswith("pinflow: "):
            log.warning(line.removeprefix("pinflow: ").rstrip())
        else:
            server._log_listener(line)

    thread = UntilStdinCloses(
        [node, *OPTIONS, *map(str, program)],
        stdin=True,
        auto_restart=True,
        log_listener=listen,
        name="kinesis-local",
        env_vars=settings,
    )
    thread.start()
    return thread


made_for = json.loads((KINESIS / "package.json").read_text(encoding="utf-8"))["dependencies"]["kinesis-local"]
version = kinesismock_package.get_installer().version
if version != made_for:
    raise RuntimeError(f"preload.js is made for kinesis-local {made_for}, not {version}: set KINESIS_MOCK_VERSION")
# What is replaced or used here: an AttributeError now, where LocalStack has no such name any more.
_ = (KinesisMockNodeServer.do_start_thread, KinesisMockNodeServer._create_shell_command, ShellCommandThread.stop)
KinesisMockNodeServer.do_start_thread = start_with_preload
