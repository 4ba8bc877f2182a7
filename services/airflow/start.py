"""Airflow as one service: its processes side by side, each started again when it dies, all gone when told to end.

Runs in Airflow's own environment, natively and in the official image, so it imports nothing of this project but its
neighbour mwaa.py and, through it, foundation/supervised.py. `airflow standalone` leaves processes behind and restarts
none of them.
"""

from __future__ import annotations

import gc
import importlib
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

import mwaa
import psutil

HOME = Path(os.environ["AIRFLOW_HOME"])
OLD = os.environ["AIRFLOW_VERSION"].startswith("2")
# Airflow 2 brings gunicorn, which must be its own program; macOS does not allow a fork to use its networking.
FORKS = not OLD and sys.platform == "linux"
PRELOADED = (
    "airflow.api_fastapi.main",
    "airflow.dag_processing.manager",
    "airflow.executors.local_executor",
    "airflow.jobs.scheduler_job_runner",
    "airflow.jobs.triggerer_job_runner",
    "airflow.providers.databricks.operators.databricks",
    "airflow.sdk.execution_time.task_runner",
)
GRACE = 15.0
"""Seconds from SIGTERM to SIGKILL. A task that ends in them cancels its run on Databricks."""
SETTLED = 30.0
"""A program that ends sooner after its start fails; one that lives longer works. Seconds."""


@dataclass
class Program:
    """One process of the service: what it runs (never to return), its pid, when it was last started."""

    name: str
    run: Callable[[], None]
    pid: int = 0
    started: float = field(default=float("-inf"))

    def keep(self) -> None:
        """Start it where it does not run; one that dies at once is tried again every five seconds only."""
        if self.pid:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if not pid:
                if time.monotonic() - self.started > SETTLED:
                    mwaa.supervised["recovered"](self.name)
                return
            ended = f"ended with status {os.waitstatus_to_exitcode(status)}"
            say(f"{self.name} {ended}; it is started again")
            self.pid = 0
            if time.monotonic() - self.started < SETTLED:
                mwaa.supervised["failed"](self.name, f"{ended} soon after its start")
        if time.monotonic() - self.started > 5:
            self.pid, self.started = fork(self.run), time.monotonic()


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    ending = False

    def end(*_: object) -> None:
        nonlocal ending
        ending = True

    end_leftovers()
    # What the processes sign their requests to each other with. The one that Airflow makes up is too short for its own
    # library, which says so at every request.
    os.environ["AIRFLOW__API_AUTH__JWT_SECRET"] = secrets.token_hex(32)
    (HOME / mwaa.FAILING).unlink(missing_ok=True)
    door = Program("mwaa", serve)
    door.keep()
    migration = migrate()
    if FORKS:
        for module in PRELOADED:
            importlib.import_module(module)
        gc.freeze()  # the collector would write to every page, and none would be shared any more
    if migration and os.waitpid(migration, 0)[1]:
        sys.exit("pinflow: the metadata database could not be made, see above")
    (HOME / "migrated").touch()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    programs = [door, *airflow_programs()]
    while not ending:
        for program in programs:
            program.keep()
        show_failing()
        time.sleep(0.3)
    terminate(psutil.Process().children(recursive=True))


def airflow_programs() -> list[Program]:
    """The processes of this version. Logs are read from files: no process to serve them over HTTP."""
    both = {"scheduler": ("scheduler", "--skip-serve-logs"), "triggerer": ("triggerer", "--skip-serve-logs")}
    commands: dict[str, tuple[str, ...]] = {"webserver" if OLD else "api-server": (), **both}
    found = [Program(name, lambda c=command or (name,): airflow(*c)) for name, command in commands.items()]  # type: ignore[misc]
    # In 2.x the scheduler reads the DAGs itself.
    return found if OLD else [*found, Program("dag-processor", lambda: airflow("dag-processor"))]


def airflow(*arguments: str) -> None:
    """Become `airflow …`: in this very process where Airflow is imported already."""
    if not FORKS:
        os.execv(sys.executable, [sys.executable, "-m", "airflow", *arguments])
    from airflow.__main__ import main as airflow_main
    from setproctitle import setproctitle

    setproctitle(f"airflow {arguments[0]}")
    sys.argv = ["airflow", *arguments]
    airflow_main()


def serve() -> None:
    """The door, and a thread that keeps the folder of DAGs as the bucket is."""
    sync = runpy.run_path(str(Path(__file__).with_name("sync.py")))
    mwaa.supervised["start"]("sync of the DAGs", sync["syncing"](), every=sync["EVERY"], known=sync["AWAY"])
    mwaa.serve()


def show_failing() -> None:
    """Write down which programs fail, for the door to tell."""
    file, failing = HOME / mwaa.FAILING, json.dumps(mwaa.supervised["failing"]())
    if not file.exists() or file.read_text(encoding="utf-8") != failing:
        draft = file.with_suffix(".new")
        draft.write_text(failing, encoding="utf-8")
        draft.replace(file)


def migrate() -> int:
    """Start making the metadata database and return the pid, 0 where it is made; a half made one is made anew."""
    if (HOME / "migrated").exists():
        return 0
    (HOME / "airflow.db").unlink(missing_ok=True)
    importlib.import_module("airflow.settings")  # writes airflow.cfg with its random secrets, before anything forks
    return fork(lambda: airflow("db", "migrate"))


def fork(run: Callable[[], None]) -> int:
    """Run the function in a process of its own, which ends with it; returns the pid."""
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


def end_leftovers() -> None:
    """End what a killed predecessor left: Airflow's own children outlive it, and two schedulers must never run.

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
        say(f"ending {len(found)} processes of an Airflow that was killed")
        # No SIGTERM: it would let a task report an end to a server that is not there.
        terminate(found, grace=0)
    for file in HOME.glob("*.pid"):
        file.unlink()


def terminate(processes: list[psutil.Process], grace: float = GRACE) -> None:
    """SIGTERM, and SIGKILL to those that are still there ``grace`` seconds later."""
    for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, 5.0)):
        deadline = time.monotonic() + seconds
        for process in processes if seconds else []:
            if alive(process):
                process.send_signal(number)
        while time.monotonic() < deadline and any(alive(process) for process in processes):
            time.sleep(0.1)


def alive(process: psutil.Process) -> bool:
    """Whether it still runs; one that has ended and that nobody has waited for does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def say(text: str) -> None:
    print(f"pinflow: {text}", flush=True)


if __name__ == "__main__":
    main()
