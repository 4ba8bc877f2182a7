"""The processes of one local stack under supervisord (PyPI: supervisor), which restarts a service that exits."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import xmlrpc.client
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from supervisor.xmlrpc import Faults, SupervisorTransport

from foundation.errors import PinflowError
from foundation.paths import PACKAGES
from foundation.profile import ROOT, Profile
from pinflow.stack import state

# A socket's path may have 107 bytes on Linux and 103 on macOS.
_SOCKET_PATH_LIMIT = 100
_STOPPING = 40
"""Seconds that a service has to exit after SIGTERM before it is killed."""


@dataclass(frozen=True)
class Process:
    """A service's process: state (RUNNING, STOPPED, BACKOFF, FATAL, …), pid or 0, seconds since its start."""

    state: str
    pid: int
    seconds: float


class Supervision:
    """The supervisord of a profile's stack: its files, its socket, its processes."""

    def __init__(self, profile: Profile, services: list[str]) -> None:
        self.profile = profile
        self.services = services
        self.home = profile.home / "supervisor"
        self.configuration = self.home / "supervisord.conf"
        self.pid_file = self.home / "supervisord.pid"
        self.logs = profile.home / "logs"
        digest = hashlib.sha256(str(profile.home).encode()).hexdigest()[:12]
        self.link = PACKAGES / "stacks" / digest

    @property
    def socket(self) -> Path:
        """supervisord's socket; in the temporary directory if the state's own path is too long for a socket."""
        path = self.home / "supervisor.sock"
        if len(str(path)) <= _SOCKET_PATH_LIMIT:
            return path
        digest = hashlib.sha256(str(self.home).encode()).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"pinflow-{os.getuid()}-{digest}.sock"

    def log(self, service: str) -> Path:
        """A service's log file."""
        return self.logs / f"{service}.log"

    def start(self) -> None:
        """Start supervisord if it is not running, and load the profile's services without starting them."""
        self._write_configuration()
        if not self.profile.home.is_relative_to(PACKAGES):
            # So that the installer and `make clean` find this stack while it uses their packages.
            self.link.parent.mkdir(parents=True, exist_ok=True)
            self.link.unlink(missing_ok=True)
            self.link.symlink_to(self.profile.home)
        if self.alive():
            added, changed, removed = self._rpc().supervisor.reloadConfig()[0]
            for name in (*changed, *removed):
                self.stop(name)
                self._rpc().supervisor.removeProcessGroup(name)
            for name in (*added, *changed):
                self._rpc().supervisor.addProcessGroup(name)
            return
        self.stop_orphans()
        command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(self.configuration)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        for _ in range(100):
            if done.returncode or self.alive():
                break
            time.sleep(0.05)
        else:
            done.returncode = 1
        if done.returncode:
            raise PinflowError(f"supervisord did not start: {(done.stderr or done.stdout).strip()}", f"see {self.home}")

    def alive(self) -> bool:
        """Whether this stack's supervisord answers."""
        try:
            return bool(self._rpc().supervisor.getState()["statename"] == "RUNNING")
        except (OSError, xmlrpc.client.Error):
            return False

    def processes(self) -> dict[str, Process]:
        """The state of each service; empty if supervisord is not running."""
        try:
            infos = self._rpc().supervisor.getAllProcessInfo()
        except (OSError, xmlrpc.client.Error):
            return {}
        return {i["name"]: Process(i["statename"], i["pid"], i["now"] - i["start"] if i["pid"] else 0.0) for i in infos}

    def changed_variables(self) -> list[str]:
        """The environment variables of the profile whose values here and in supervisord's environment differ."""
        process = supervisor(self.profile.home)
        if process is None:
            return []
        there, names = process.environ(), re.findall(r"\$\{(\w+)", self.profile.path.read_text(encoding="utf-8"))
        return sorted({name for name in names if there.get(name) != os.environ.get(name)})

    def launch(self, service: str) -> None:
        """Start a service without waiting for it, unless it is running."""
        (self.profile.home / "run" / f"{service}.starts").unlink(missing_ok=True)
        self._call("startProcess", service, False)

    def stop(self, service: str) -> None:
        """Stop a service, if it is running, and wait until its process is gone."""
        self._call("stopProcess", service, True)

    def holds(self, port: int) -> bool:
        """Whether a process of this stack listens on a port of this machine."""
        process = supervisor(self.profile.home)
        for member in process.children(recursive=True) if process is not None else []:
            with contextlib.suppress(psutil.Error):
                if any(c.laddr and c.laddr.port == port for c in member.net_connections("tcp") if c.status == "LISTEN"):
                    return True
        return False

    def shutdown(self) -> None:
        """Stop supervisord and everything that it runs, and wait for its exit."""
        process = supervisor(self.profile.home)
        if self.alive():
            with contextlib.suppress(OSError, xmlrpc.client.Error):
                self._rpc().supervisor.shutdown()
        if process is not None:
            try:
                process.wait(timeout=60)
            except psutil.TimeoutExpired:
                raise PinflowError("supervisord did not exit within 60 s", f"see {self.home}/supervisord.log") from None
        self.stop_orphans()
        self.socket.unlink(missing_ok=True)
        self.link.unlink(missing_ok=True)

    def stop_orphans(self) -> list[str]:
        """Stop services whose supervisord was killed, and processes that killed services left running.

        These are the processes that this stack's launcher recorded, their children, and those with its TMPDIR.
        """
        home = self.profile.home
        alive = survivors(home)
        stopped = list(alive)
        families = [process for service in alive.values() for process in _children(service)]
        # The services first: each stops its own children in order (LocalStack has Kinesis save its data).
        _stop_all(list(alive.values()))
        _stop_all([process for process in families if process.is_running()])
        # Look again: a service may have restarted a child while it was stopping.
        while left := state.processes(home):
            stopped += [
                f"process {process.pid}" for process in left if process.pid not in {p.pid for p in alive.values()}
            ]
            _stop_all(left)
        for pattern in ("*.pid", "*.starts"):
            for file in (self.profile.home / "run").glob(pattern):
                file.unlink()
        return stopped

    def last_lines(self, service: str, count: int = 15) -> str:
        """The end of a service's log, for an error message."""
        try:
            with self.log(service).open("rb") as log:
                log.seek(max(0, self.log(service).stat().st_size - 64_000))
                lines = log.read().decode(errors="replace").splitlines()
        except FileNotFoundError:
            lines = []
        return "\n".join(f"    {line}" for line in lines[-count:]) or "    (no output)"

    def exits(self, service: str, process: Process, since: float) -> int:
        """How often it has exited by itself since then (seconds since 1970)."""
        again = [time for time, _ in self._starts(service)[1:] if time > since]
        return len(again) + (process.state in ("BACKOFF", "FATAL", "EXITED"))

    def last_line_before_exit(self, service: str) -> str:
        """The last line that it logged before its last start."""
        starts = self._starts(service)
        with contextlib.suppress(OSError, IndexError), self.log(service).open("rb") as log:
            end = starts[-1][1]
            log.seek(max(0, end - 8_000))
            return log.read(min(end, 8_000)).decode(errors="replace").rstrip().splitlines()[-1].strip()
        return self.last_lines(service, 1).strip()

    def _starts(self, service: str) -> list[tuple[float, int]]:
        """Its last starts, oldest first: time in seconds since 1970, and length of its log (see launch.py)."""
        with contextlib.suppress(FileNotFoundError):
            lines = (self.profile.home / "run" / f"{service}.starts").read_text().splitlines()
            return [(float(time), int(size)) for time, size in (line.split() for line in lines)]
        return []

    def _rpc(self) -> Any:
        # The transport uses the socket and ignores the URL's host.
        return xmlrpc.client.ServerProxy(
            "http://127.0.0.1", transport=SupervisorTransport(None, None, f"unix://{self.socket}")
        )

    def _call(self, method: str, service: str, wait: bool) -> None:
        """Call supervisord; does nothing if the service is already in the requested state."""
        try:
            getattr(self._rpc().supervisor, method)(service, wait)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode not in (Faults.ALREADY_STARTED, Faults.NOT_RUNNING, Faults.BAD_NAME):
                what = f"{service}: supervisord refused {method}: {fault.faultString}"
                raise PinflowError(what, f"see {self.home}/supervisord.log") from None

    def _write_configuration(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        self.logs.mkdir(parents=True, exist_ok=True)
        beside = self.socket.parent == self.home
        text = _SUPERVISORD.format(socket="%(here)s/supervisor.sock" if beside else _escape(str(self.socket)))
        # Without this, supervisord warns at every start as root.
        text = text.replace("[supervisord]", "[supervisord]\nuser=root" if os.getuid() == 0 else "[supervisord]")
        for service in self.services:
            command = (sys.executable, "-m", "pinflow.stack.launch", service, str(self.profile.path))
            # Relative to supervisord's working directory; supervisord expands this value twice.
            log = _escape(_escape(os.path.relpath(self.log(service), ROOT)))
            text += _PROGRAM.format(service=service, command=" ".join(map(_word, command)), log=log, stopping=_STOPPING)
        self.configuration.write_text(text)


def survivors(home: Path) -> dict[str, psutil.Process]:
    """The running services of the stack in this directory, according to its launcher's records."""
    found = {}
    for file in sorted((home / "run").glob("*.pid")):
        # The process is gone, or the file is being written.
        with contextlib.suppress(FileNotFoundError, ValueError, psutil.NoSuchProcess):
            pid, created = file.read_text().split()
            process = psutil.Process(int(pid))
            # The system reuses pids: compare the start time too.
            if abs(process.create_time() - float(created)) < 1 and process.status() != psutil.STATUS_ZOMBIE:
                found[file.stem] = process
    return found


def supervisor(home: Path) -> psutil.Process | None:
    """The supervisord of the stack in this directory, if it is running."""
    files = home / "supervisor"
    with contextlib.suppress(FileNotFoundError, ValueError, psutil.Error):
        process = psutil.Process(int((files / "supervisord.pid").read_text()))
        if str(files / "supervisord.conf") in process.cmdline():
            return process
    return None


def _children(process: psutil.Process) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.children(recursive=True)
    return []


def _stop_all(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGTERM)
    for process in psutil.wait_procs(processes, timeout=_STOPPING)[1]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=10)


def _escape(text: str) -> str:
    """supervisord expands %(…)s in every value."""
    return text.replace("%", "%%")


def _word(text: str) -> str:
    """One word of a command: supervisord cuts off what follows ` #` or ` ;`, then splits the rest like a shell."""
    return _escape(re.sub(r"([^\w./-])", r"\\\1", text))


# Paths are relative to %(here)s, this file's directory, where possible: a path may contain the beginning of a comment.
# supervisord starts in the project's directory, and so do the services.
_SUPERVISORD = """\
[unix_http_server]
file={socket}
chmod=0600

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[supervisord]
pidfile=%(here)s/supervisord.pid
logfile=%(here)s/supervisord.log
logfile_maxbytes=5MB
logfile_backups=1
childlogdir=%(here)s
"""

_PROGRAM = """
[program:{service}]
command={command}
autostart=false
autorestart=true
startsecs=1
startretries=20
stopwaitsecs={stopping}
stopasgroup=false
killasgroup=true
redirect_stderr=true
stdout_logfile={log}
stdout_logfile_maxbytes=20MB
stdout_logfile_backups=1
"""
