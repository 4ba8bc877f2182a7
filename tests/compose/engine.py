"""A Docker engine of one's own for a while, where none runs: `python -m tests.compose.engine run -- COMMAND`.

    up      start it; prints the lines that tell a shell how to reach it
    down    stop it with all that it runs; no process, bridge, firewall rule or mount stays
    run     up, the command with the engine's environment, down; ends with the command's status

For CI and for tests only: it needs root and Debian (debian.py). It never touches an engine that somebody else started.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

import psutil

from foundation.profile import ROOT
from tests.compose import debian, image
from tests.compose.errors import NoEngine

HOME = ROOT / ".pinflow" / "engine"
FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
# Of the networks that Compose makes; 172.31.192.0/20 is outside the pools that Docker itself takes from.
ADDRESSES = "base=172.31.192.0/20,size=24"
# What dockerd and containerd make outside of their own directories, and leave there.
PLACES = ("/run/containerd/s", "/run/containerd", "/run/docker/plugins", "/run/docker")
START_SECONDS = 60
STOP_SECONDS = 60


@dataclass(frozen=True)
class Started:
    """What there was before the start, to be as it was after the end."""

    pid: int
    created: float
    forwarding: str
    links: list[str]
    rules: str
    places: list[str]


class Engine:
    """dockerd on a socket of its own, with its images, volumes and state below ``home``."""

    def __init__(self, home: Path = HOME) -> None:
        self.home = home
        # Sockets have short paths, whatever the path of this repository.
        name = f"pinflow-engine-{sha256(str(home).encode()).hexdigest()[:10]}"
        self.run_directory = Path(tempfile.gettempdir()) / name
        self.socket = self.run_directory / "docker.sock"
        self.note = home / "started.json"
        self.log = home / "dockerd.log"
        self.programs = home / "bin"

    def environment(self) -> dict[str, str]:
        """What a shell or a test needs to use this engine, with the compose files for machines without a registry."""
        return {
            "PATH": f"{self.programs}{os.pathsep}{os.environ['PATH']}",
            "DOCKER_HOST": f"unix://{self.socket}",
            "DOCKER_CONFIG": str(self.home / "client"),
            **image.environment(),
        }

    def up(self) -> None:
        """Start it where it does not run; raises NoEngine."""
        if self._process() is not None:
            return
        self.down()  # what a killed one left
        debian.check_machine()
        debian.unpacked(self.home)
        self._refuse_a_second()
        self.run_directory.mkdir(mode=0o711, exist_ok=True)
        places = [place for place in PLACES if Path(place).exists()]
        before = Started(0, 0.0, FORWARDING.read_text().strip(), _links(), self.rules(), places)
        command = [self.programs / "dockerd", "--data-root", self.home / "data"]
        command += ["--exec-root", self.run_directory / "exec", "-p", self.run_directory / "dockerd.pid"]
        command += ["-H", f"unix://{self.socket}", "--bridge", "none", "--default-address-pool", ADDRESSES]
        with self.log.open("wb") as log:
            process = subprocess.Popen(
                [str(part) for part in command],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PATH": self.environment()["PATH"]},
                start_new_session=True,
            )
        started = Started(
            **{**asdict(before), "pid": process.pid, "created": psutil.Process(process.pid).create_time()}
        )
        self.note.write_text(json.dumps(asdict(started)))
        try:
            self._wait(process)
            image.make(self.docker)
        except NoEngine:
            self.down()
            raise

    def down(self) -> None:
        """End it and everything that it runs; harmless where it does not run, also after it was killed."""
        if not self.note.is_file():
            return
        started = self._started()
        process = self._process()
        if process is not None:
            with contextlib.suppress(NoEngine):
                running = self.docker("ps", "-q", timeout=20).split()
                if running:
                    self.docker("stop", "-t", "5", *running, timeout=STOP_SECONDS)
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(psutil.TimeoutExpired):
                process.wait(STOP_SECONDS)
        self._end_leftovers()
        self._restore(started)
        for directory in (self.home / "data", self.run_directory):
            _unmount_below(directory)
            shutil.rmtree(directory, ignore_errors=True)
        for place in PLACES:
            if place not in started.places:
                for socket in [path for path in Path(place).glob("*") if path.is_socket()]:
                    socket.unlink()  # of a shim that was killed
                with contextlib.suppress(OSError):  # not empty: somebody else's
                    Path(place).rmdir()
        self.note.unlink()

    def docker(self, *arguments: str, timeout: float = 120, stdin: bytes | None = None) -> str:
        """Run `docker` against this engine and return what it prints; raises NoEngine with its last words."""
        what = f"docker {arguments[0]}"
        try:
            done = subprocess.run(
                [str(self.programs / "docker"), *arguments],
                env={**os.environ, **self.environment()},
                input=stdin,
                capture_output=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise NoEngine(f"`{what}` did not end within {timeout:.0f} s") from None
        if done.returncode:
            raise NoEngine(f"`{what}` failed: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout.decode()

    def _started(self) -> Started:
        return Started(**json.loads(self.note.read_text()))

    def _process(self) -> psutil.Process | None:
        """The engine that the note speaks of, if it still runs."""
        if self.note.is_file():
            started = self._started()
            with contextlib.suppress(psutil.NoSuchProcess):
                process = psutil.Process(started.pid)
                if abs(process.create_time() - started.created) < 1 and process.status() != psutil.STATUS_ZOMBIE:
                    return process
        return None

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            with contextlib.suppress(NoEngine):
                self.docker("info", timeout=10)
                return
            time.sleep(0.2)
        last = "\n".join(self.log.read_text(errors="replace").splitlines()[-5:])
        why = "dockerd ended" if process.poll() is not None else f"dockerd did not answer for {START_SECONDS} s"
        raise NoEngine(f"{why}; its last words:\n{last}")

    def _refuse_a_second(self) -> None:
        """Two engines write the same chains, and the end of one would take the other's."""
        for process in psutil.process_iter(["name"]):
            if process.info["name"] == "dockerd":
                raise NoEngine(f"another dockerd runs already, as process {process.pid}")

    def _end_leftovers(self) -> None:
        """containerd, its shims and their containers, which outlive a SIGKILL of dockerd; known by their directory."""
        engines = [
            p for p in psutil.process_iter(["name", "cmdline"]) if (p.info["name"] or "").startswith("containerd")
        ]
        mine = [p for p in engines if str(self.run_directory) in " ".join(p.info["cmdline"] or ())]
        family = {p for one in mine for p in (one, *_children(one))}
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(list(family), timeout=10)

    def rules(self) -> str:
        """The firewall's tables that Docker writes to, as `iptables-save` prints them."""
        saved = [self._iptables("iptables-save", "-t", table) for table in ("filter", "nat")]
        return "".join(saved)

    def _iptables(self, program: str, *arguments: str, stdin: str | None = None) -> str:
        command = [str(self.programs / program), *arguments]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=30, check=True).stdout

    def _restore(self, started: Started) -> None:
        for link in _links():
            if link not in started.links and link.startswith(("br-", "veth", "docker")):
                subprocess.run(["ip", "link", "delete", link], capture_output=True, timeout=30, check=False)
        self._iptables("iptables-restore", stdin=started.rules)
        FORWARDING.write_text(started.forwarding)


def _links() -> list[str]:
    return sorted(path.name for path in Path("/sys/class/net").iterdir())


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _unmount_below(directory: Path) -> None:
    mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for place in sorted((m for m in mounted if Path(m).is_relative_to(directory)), reverse=True):
        subprocess.run(["umount", "-l", place], capture_output=True, timeout=30, check=False)


def main(arguments: list[str]) -> int:
    # So that the engine goes when its time is over, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    engine = Engine()
    match arguments:
        case ["up"]:
            engine.up()
            for name, value in engine.environment().items():
                print(f"export {name}={shlex.quote(value)}")
        case ["down"]:
            engine.down()
        case ["run", "--", *command] if command:
            try:
                engine.up()
                return subprocess.run(command, env={**os.environ, **engine.environment()}, check=False).returncode
            finally:
                signal.signal(signal.SIGTERM, signal.SIG_IGN)  # being told twice must not leave half of it
                engine.down()
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except NoEngine as reason:
        sys.exit(str(reason))
    except KeyboardInterrupt:
        sys.exit(130)
