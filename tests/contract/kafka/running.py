"""Services as the stack runs them, one by one, for contract tests: own directory, own ports."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import yaml

from foundation.errors import NotReady
from foundation.profile import ROOT, Profile, load
from pinflow.stack.launch import service


def write_profile(home: Path) -> Profile:
    """A profile of the test's own, with free ports for the broker, its controller and the REST proxy."""
    document = yaml.safe_load((ROOT / "profiles" / "local.yaml").read_text(encoding="utf-8"))
    broker = _free_ports(3)
    document["kafka"]["bootstrap_servers"] = f"127.0.0.1:{broker}"
    document["rest_proxy"]["url"] = f"http://127.0.0.1:{broker + 2}"
    document["stack"] |= {"directory": str(home / "state"), "services": ["kafka", "rest_proxy"]}
    path = home / "profile.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return load(str(path))


class Running:
    """One service's process. `start` waits until its probe is content."""

    def __init__(self, name: str, profile: Profile, log: Path) -> None:
        self.profile = profile
        self.log = log
        self._service = service(name)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def launch(self) -> None:
        """Start the process, as the supervisor does, without waiting for it."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pinflow.stack.launch", self._service.name, str(self.profile.path)],
                cwd=ROOT,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def start(self, timeout: float = 60) -> float:
        """Prepare, launch, wait, initialise; gives the seconds from launch to ready."""
        self._service.prepare(self.profile)
        began = time.monotonic()
        self.launch()
        while True:
            try:
                self._service.owned(self.profile)
                self._service.probe(self.profile)
                break
            except NotReady as error:
                assert self._process is not None
                if self._process.poll() is not None or time.monotonic() - began > timeout:
                    raise AssertionError(f"{error}\n{self.log.read_text()[-4000:]}") from None
                time.sleep(0.1)
        seconds = time.monotonic() - began
        self._service.initialise(self.profile, lambda line: None)
        return seconds

    def stop(self, how: int = signal.SIGTERM) -> None:
        """End the process and wait until it is gone."""
        if self._process is not None and self._process.poll() is None:
            os.kill(self._process.pid, how)
            self._process.wait(timeout=40)

    def kill(self) -> None:
        """SIGKILL."""
        self.stop(signal.SIGKILL)


def _free_ports(count: int) -> int:
    """The first of so many ports in a row that nobody listens on."""
    for first in range(22010, 22100 - count, count):
        try:
            for port in range(first, first + count):
                with socket.socket() as tried:
                    tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    tried.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise AssertionError("no free ports from 22010 to 22099")
