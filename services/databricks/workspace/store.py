"""Jobs, runs and workspace objects in one SQLite database, which survives a SIGKILL of the service."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

ACTIVE = ("QUEUED", "PENDING", "BLOCKED", "WAITING_FOR_RETRY", "RUNNING", "TERMINATING")

# Jobs, runs and task runs share one sequence of ids: no id is used twice, not even after a deletion.
_SCHEMA = """
create table if not exists ids (id integer primary key autoincrement);
create table if not exists jobs (
    job_id integer primary key, created integer not null, settings text not null);
create table if not exists runs (
    run_id integer primary key, parent_id integer, job_id integer not null, task_key text,
    attempt integer not null, name text not null, kind text not null, flat integer not null,
    definition text not null, parameters text not null, resolved text not null,
    submitted integer not null, started integer, ended integer,
    life text not null, result text, message text not null, code text,
    pid integer, pid_started real);
create index if not exists runs_of_parent on runs (parent_id);
create index if not exists runs_of_job on runs (job_id);
create table if not exists outputs (run_id integer primary key, output text not null);
create table if not exists tokens (token text primary key, run_id integer not null);
create table if not exists objects (
    object_id integer primary key autoincrement, file text not null unique, kind text, created integer not null);
"""
_JSON = ("definition", "parameters", "resolved")
_IS_ACTIVE = f"life in {ACTIVE}"


def now() -> int:
    """Milliseconds since the epoch, the API's unit of time."""
    return time.time_ns() // 1_000_000


@dataclass
class Run:
    """A run, or (with ``parent_id`` and ``task_key``) one attempt at one of its tasks. Times in milliseconds.

    definition  of a run: its tasks, timeout and limits; of a task run: the task
    parameters  of a run: `job_parameters` and `notebook_params` as given; resolved: what the notebook got
    life        RunLifeCycleState; ``result`` RunResultState once it has ended; ``code`` TerminationCode
    pid         of a task run: its notebook process, with its start time to recognise it
    """

    run_id: int
    job_id: int
    name: str
    definition: dict[str, Any]
    parent_id: int | None = None
    task_key: str | None = None
    attempt: int = 0
    kind: str = "SUBMIT_RUN"
    flat: bool = False
    parameters: dict[str, Any] = field(default_factory=dict)
    resolved: dict[str, str] = field(default_factory=dict)
    submitted: int = field(default_factory=now)
    started: int | None = None
    ended: int | None = None
    life: str = "PENDING"
    result: str | None = None
    message: str = ""
    code: str | None = None
    pid: int | None = None
    pid_started: float | None = None

    @property
    def active(self) -> bool:
        """Whether it has not ended yet."""
        return self.life in ACTIVE


@dataclass(frozen=True)
class Job:
    """A job: its settings as `JobSettings` dumps them."""

    job_id: int
    created: int
    settings: dict[str, Any]


class Store:
    """Everything that is stored. Each call is one transaction; safe to call from any thread."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._database.row_factory = sqlite3.Row
        # WAL with NORMAL loses nothing when the process is killed; only a power cut can cost the last commits.
        self._database.executescript(f"pragma journal_mode=wal; pragma synchronous=normal; {_SCHEMA}")

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Store everything inside, or nothing."""
        with self._lock:
            outermost = not self._database.in_transaction
            if outermost:
                self._database.execute("begin immediate")
            try:
                yield
            except BaseException:
                if outermost:
                    self._database.execute("rollback")
                raise
            if outermost:
                self._database.execute("commit")

    def new_id(self) -> int:
        """An id greater than every one before."""
        with self.transaction():
            number = self._execute("insert into ids default values").lastrowid
            self._execute("delete from ids where id < ?", number)
        assert number is not None
        return number

    def add_run(self, run: Run) -> None:
        """Store a new run."""
        row = _row(run)
        names = ", ".join(row)
        self._execute(f"insert into runs ({names}) values ({', '.join('?' * len(row))})", *row.values())

    def save(self, run: Run) -> None:
        """Store what has changed in a run."""
        row = _row(run)
        changes = ", ".join(f"{name} = ?" for name in row)
        self._execute(f"update runs set {changes} where run_id = ?", *row.values(), run.run_id)

    def run(self, run_id: int) -> Run | None:
        """A run or task run, if it exists."""
        return next(iter(self._runs("run_id = ?", run_id)), None)

    def attempts(self, run_id: int) -> list[Run]:
        """Every attempt at every task of a run, oldest first."""
        return self._runs("parent_id = ? order by run_id", run_id)

    def tasks(self, run_id: int) -> list[Run]:
        """The latest attempt at each task of a run, in the order in which the tasks were defined."""
        return list({run.task_key: run for run in self.attempts(run_id)}.values())

    def active_runs(self) -> list[Run]:
        """Runs and task runs that have not ended."""
        return self._runs(_IS_ACTIVE)

    def runs(
        self,
        limit: int,
        *,
        offset: int = 0,
        before: int | None = None,
        job_id: int | None = None,
        kind: str | None = None,
        active: bool | None = None,
        start_from: int | None = None,
        start_to: int | None = None,
    ) -> list[Run]:
        """Runs (not task runs), newest first; ``before`` is the id that the page starts below."""
        asked = {
            "run_id < ?": before,
            "job_id = ?": job_id,
            "kind = ?": kind,
            "submitted >= ?": start_from,
            "submitted <= ?": start_to,
        }
        filters = {condition: value for condition, value in asked.items() if value is not None}
        of_state = [] if active is None else [_IS_ACTIVE if active else f"not {_IS_ACTIVE}"]
        where = " and ".join(["parent_id is null", *filters, *of_state])
        return self._runs(f"{where} order by run_id desc limit ? offset ?", *filters.values(), limit, offset)

    def expired(self, keep: int, ended_before: int) -> list[Run]:
        """Finished runs that are not among the ``keep`` newest runs, or that ended before that time."""
        newest = "select run_id from runs where parent_id is null order by run_id desc limit ?"
        ended = f"parent_id is null and not {_IS_ACTIVE}"
        return self._runs(f"{ended} and (ended < ? or run_id not in ({newest}))", ended_before, keep)

    def delete_run(self, run_id: int) -> None:
        """Forget a run and its task runs."""
        with self.transaction():
            members = "(select run_id from runs where run_id = ? or parent_id = ?)"
            self._execute(f"delete from outputs where run_id in {members}", run_id, run_id)
            self._execute("delete from runs where run_id = ? or parent_id = ?", run_id, run_id)

    def keep_output(self, run_id: int, output: Mapping[str, Any]) -> None:
        """Store what `runs/get-output` answers for a task run besides its metadata."""
        self._execute("insert or replace into outputs values (?, ?)", run_id, json.dumps(output))

    def output(self, run_id: int) -> dict[str, Any]:
        """The same; empty if there is none."""
        row = self._execute("select output from outputs where run_id = ?", run_id).fetchone()
        return dict(json.loads(row["output"])) if row else {}

    def run_of_token(self, token: str) -> int | None:
        """The run that an idempotency token stands for."""
        row = self._execute("select run_id from tokens where token = ?", token).fetchone()
        return int(row["run_id"]) if row else None

    def keep_token(self, token: str, run_id: int) -> None:
        """Make an idempotency token stand for a run."""
        self._execute("insert into tokens values (?, ?)", token, run_id)

    def save_job(self, job: Job) -> None:
        """Store a job, new or changed."""
        self._execute("insert or replace into jobs values (?, ?, ?)", job.job_id, job.created, json.dumps(job.settings))

    def job(self, job_id: int) -> Job | None:
        """A job, if it exists."""
        return next(iter(self._jobs("where job_id = ?", job_id)), None)

    def jobs(self, before: int | None, limit: int, offset: int, name: str | None) -> list[Job]:
        """Jobs, newest first; ``name`` matches whole names, whatever the case."""
        named = "and lower(json_extract(settings, '$.name')) = lower(?)" if name is not None else ""
        values = [before if before is not None else 2**62, *([name] if name is not None else []), limit, offset]
        return self._jobs(f"where job_id < ? {named} order by job_id desc limit ? offset ?", *values)

    def delete_job(self, job_id: int) -> None:
        """Forget a job; its runs stay."""
        self._execute("delete from jobs where job_id = ?", job_id)

    def object_of(self, file: str) -> tuple[int, str | None, int]:
        """Id, kind (as imported, None if it was not) and creation time of a workspace file; stored when first seen."""
        row = self._execute("select * from objects where file = ?", file).fetchone()
        if row is None:
            self._execute("insert or ignore into objects (file, created) values (?, ?)", file, now())
            row = self._execute("select * from objects where file = ?", file).fetchone()
        return row["object_id"], row["kind"], row["created"]

    def keep_object(self, file: str, kind: str) -> None:
        """Store what a workspace file was imported as."""
        with self.transaction():
            self.object_of(file)
            self._execute("update objects set kind = ? where file = ?", kind, file)

    def delete_objects(self, file: str) -> None:
        """Forget a workspace file, or a folder with everything below it."""
        below = file.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "/%"
        self._execute("delete from objects where file = ? or file like ? escape '\\'", file, below)

    def _execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        with self._lock:
            return self._database.execute(statement, values)

    def _select(self, statement: str, *values: Any) -> list[sqlite3.Row]:
        with self._lock:
            return self._database.execute(statement, values).fetchall()

    def _runs(self, where: str, *values: Any) -> list[Run]:
        return [_run(row) for row in self._select(f"select * from runs where {where}", *values)]

    def _jobs(self, where: str, *values: Any) -> list[Job]:
        rows = self._select(f"select * from jobs {where}", *values)
        return [Job(row["job_id"], row["created"], json.loads(row["settings"])) for row in rows]


def _row(run: Run) -> dict[str, Any]:
    row = asdict(run)
    return row | {name: json.dumps(row[name]) for name in _JSON}


def _run(row: sqlite3.Row) -> Run:
    values = {f.name: row[f.name] for f in fields(Run)}
    return Run(**{**values, "flat": bool(values["flat"]), **{name: json.loads(values[name]) for name in _JSON}})
