"""Airflow as one service: its processes side by side, each restarted when it dies, all stopped with this one.

Runs in Airflow's own environment, natively and in the official image, so it imports nothing of this project but its
neighbours mwaa.py and compat.py and, through mwaa.py, foundation/supervised.py.
"""

from __future__ import annotations

import json
import os
import runpy
import secrets
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import compat
import mwaa
import psutil

HOME = Path(os.environ["AIRFLOW_HOME"])
GRACE = 15.0
"""Seconds from SIGTERM to SIGKILL. A task that exits in them cancels its run on Databricks."""
SETTLED = 30.0
"""A program that exits sooner after its start fails; one that lives longer works. Seconds."""


@dataclass
class Program:
    """One process of the service: what it runs (never to return), its pid, when it was last started."""

    name: str
    run: Callable[[], None]
    pid: int = 0
    started: float = field(default=float("-inf"))

    def keep(self) -> None:
        """Start it if it does not run, at most every five seconds."""
        if self.pid:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if not pid:
                if time.monotonic() - self.started > SETTLED:
                    mwaa.supervised["recovered"](self.name)
                return
            exited = f"exited with status {os.waitstatus_to_exitcode(status)}"
            say(f"{self.name} {exited}; restarting it")
            self.pid = 0
            if time.monotonic() - self.started < SETTLED:
                mwaa.supervised["failed"](self.name, f"{exited} soon after its start")
        if time.monotonic() - self.started > 5:
            self.pid, self.started = fork(self.run), time.monotonic()


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True

    kill_leftovers()
    # With this the processes sign their requests to each other. Airflow's own random one is too short for its library,
    # which logs that at every request.
    os.environ["AIRFLOW__API_AUTH__JWT_SECRET"] = secrets.token_hex(32)
    (HOME / mwaa.FAILING).unlink(missing_ok=True)
    api = Program("mwaa", serve)
    api.keep()
    migration = migrate()
    compat.preload()
    if migration and os.waitpid(migration, 0)[1]:
        sys.exit("pinflow: the metadata database could not be created, see above")
    (HOME / "migrated").touch()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    programs = [api, *airflow_programs()]
    while not stopping:
        for program in programs:
            program.keep()
        write_failing()
        time.sleep(0.3)
    terminate(psutil.Process().children(recursive=True))


def airflow_programs() -> list[Program]:
    """The processes of this version. Logs are read from files: no process serves them over HTTP."""
    commands = [("scheduler", "--skip-serve-logs"), ("triggerer", "--skip-serve-logs")]
    # In 2.x the scheduler reads the DAGs itself.
    commands += [("webserver",)] if compat.OLD else [("api-server",), ("dag-processor",)]  # type: ignore[list-item]
    return [Program(command[0], lambda command=command: compat.become(*command)) for command in commands]  # type: ignore[misc]


def serve() -> None:
    """MWAA's API, and a thread that keeps the folder of DAGs as the bucket is."""
    sync = runpy.run_path(str(Path(__file__).with_name("sync.py")))
    mwaa.supervised["start"]("sync of the DAGs", sync["syncing"](), every=sync["EVERY"], known=sync["AWAY"])
    mwaa.serve()


def write_failing() -> None:
    """Write which programs fail to a file, for `mwaa.failing`."""
    file, failing = HOME / mwaa.FAILING, json.dumps(mwaa.supervised["failing"]())
    if not file.exists() or file.read_text(encoding="utf-8") != failing:
        draft = file.with_suffix(".new")
        draft.write_text(failing, encoding="utf-8")
        draft.replace(file)


def migrate() -> int:
    """Start to create the metadata database, first deleting a half-finished one; returns the pid, 0 if it exists."""
    if (HOME / "migrated").exists():
        return 0
    (HOME / "airflow.db").unlink(missing_ok=True)
    compat.write_configuration()
    return fork(lambda: compat.become("db", "migrate"))


def fork(run: Callable[[], None]) -> int:
    """Run the function in a process of its own, which exits with it; returns the pid."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    status = 1
    try:
        run()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(bool(end.code))
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        os._exit(status)


def kill_leftovers() -> None:
    """Kill what a killed predecessor left: Airflow's own children outlive it, and two schedulers must never run.

    Every process of this service, a task's too, has these in its environment (SPT_NOENV keeps it readable). A shell in
    which a user has set AIRFLOW_HOME alone has not.
    """
    found = []
    for process in psutil.process_iter():
        try:
            variables = process.environ()
        except psutil.Error:
            continue
        own = variables.get("AIRFLOW_HOME") == str(HOME) and "MWAA_LISTEN" in variables
        if own and process.pid != os.getpid():
            found.append(process)
    if found:
        say(f"killing {len(found)} processes of an Airflow that was killed")
        # No SIGTERM: it would let a task report its end to a server that is gone.
        terminate(found, grace=0)
    for file in HOME.glob("*.pid"):
        file.unlink()


def terminate(processes: list[psutil.Process], grace: float = GRACE) -> None:
    """SIGTERM, and SIGKILL to those that still run ``grace`` seconds later."""
    for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, 5.0)):
        deadline = time.monotonic() + seconds
        for process in processes if seconds else []:
            if alive(process):
                process.send_signal(number)
        while time.monotonic() < deadline and any(alive(process) for process in processes):
            time.sleep(0.1)


def alive(process: psutil.Process) -> bool:
    """Whether it still runs; one that has exited and that nobody has waited for does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def say(text: str) -> None:
    print(f"pinflow: {text}", flush=True)


if __name__ == "__main__":
    main()
