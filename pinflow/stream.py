"""The streams: our notebook as a continuous job of the workspace, and how far it is behind Kinesis."""

from __future__ import annotations

import json
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from emulator import books as posted
from foundation.databricks import Task, Workspace
from foundation.errors import PinflowError
from foundation.profile import Profile
from foundation.registry import TABLES
from foundation.service import Say
from pinflow.account import tables
from pinflow.account.streams import Lag, Stream

FRESH = 15.0
"""Seconds for which the progress that the notebook writes (every 2 s) counts as current."""
_FAILED_LATELY = 120.0
"""Seconds for which a failed run explains why the queries do not run; the job restarts sooner than that."""


@dataclass(frozen=True)
class StreamStatus:
    """One stream and its query.

    state        running, stopped, waiting (the job should run but its notebook reports no progress), or failed (like
                 waiting, and the last run failed)
    read         records read since the query's start
    rows         of its table, None if unknown; quarantined: rejected records
    lag          None if the query's position is unknown
    reason       if failed: the first line of the run's error, and its page
    missing      a sentence if stream and table do not match, else ""
    """

    name: str
    state: str
    read: int
    rows_per_second: float
    rows: int | None
    quarantined: int | None
    lag: Lag | None
    reason: str = ""
    missing: str = ""


def start(profile: Profile, say: Say, timeout: float | None = None) -> None:
    """Start a query for each table and keep them running after failures; does nothing if they are running.

    Raises PinflowError if they do not run after ``timeout`` seconds: by default 300, or 900 on Databricks, where a
    terminated cluster must start first.
    """
    timeout = timeout or (300 if profile.stack else 900)
    workspace = Workspace(profile)
    parameters = {"uid": profile.uid, "bucket": profile.storage.bucket, "region": profile.aws.region}
    before = _progress(workspace)
    if workspace.keeps_running(job_name(profile)) and _is_fresh(before):
        say("the streams are running: make stream-status")
        return
    folder = workspace.sync_notebooks(say)
    page = workspace.keep_running(job_name(profile), Task("streams", f"{folder}/stream_all", parameters))
    began, said = time.time(), time.time()
    while not _is_fresh(found := _progress(workspace)) or min(query["time"] for query in found) < began:
        if time.time() - began > timeout:
            raise PinflowError(f"stream: the queries do not run after {timeout:.0f} s", f"see {page}")
        if time.time() - said > 5:
            say("waiting for the queries")
            said = time.time()
        time.sleep(0.5)
    say(f"the queries run after {time.time() - began:.1f} s; their notebook: {page}")


def are_wanted(profile: Profile) -> bool:
    """Whether the queries should run: `make stream` came after the last `make stream-stop`."""
    return Workspace(profile).keeps_running(job_name(profile))


def stop(profile: Profile, say: Say) -> None:
    """Stop the job; the queries repeat unfinished work at the next start, exactly once."""
    stopped = Workspace(profile).stop_running(job_name(profile))
    say("stopped the streams" if stopped else "no stream was running")


class Watch:
    """The state of the streams; reads each record in Kinesis only once."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._workspace = Workspace(profile)
        self._streams = [Stream(profile, name) for name in profile.streams]

    def status(self) -> list[StreamStatus]:
        """Each stream's current state, from the notebook, the tables and Kinesis itself."""
        profile, name = self._profile, job_name(self._profile)
        # In this order, a record that moves meanwhile is counted twice, never missed.
        acknowledged = posted.totals(profile.home) if profile.stack else Counter[str]()
        runs = self._workspace.keeps_running(name)
        found = {query["query"]: query for query in _progress(self._workspace)}
        rows = tables.stream_rows(profile)
        fresh = runs and _is_fresh(list(found.values()))
        failure = self._workspace.last_failure(name, job=True) if runs and not fresh else None
        if failure and time.time() - failure.ended > _FAILED_LATELY:
            failure = None

        def one(kind: str, stream: Stream) -> StreamStatus:
            query = found.get(f"{profile.uid}_{kind}", {})
            running = runs and query and _is_fresh([query])
            state = "stopped" if not runs else "running" if running else "failed" if failure else "waiting"
            offset = query.get("offset")
            handled = rows.get(kind)
            if profile.stack and (rows or offset):
                stream.refresh()
            return StreamStatus(
                name=stream.name,
                state=state,
                read=query.get("read", 0),
                rows_per_second=query.get("rows_per_second", 0.0) if state == "running" else 0.0,
                rows=handled[0] if handled else None,
                quarantined=handled[1] if handled else None,
                lag=stream.lag(offset) if profile.stack else stream.seconds_behind(offset),
                reason=f"{failure.reason}: {failure.page}" if failure and state == "failed" else "",
                missing=_missing(stream, offset, sum(handled), acknowledged[stream.name]) if handled else "",
            )

        with ThreadPoolExecutor() as pool:
            return list(pool.map(one, TABLES, self._streams))


def _missing(stream: Stream, offset: Any, handled: int, acknowledged: int) -> str:
    """A sentence if a stream and its table, with ``handled`` rows and quarantined records, do not match.

    More rows than records are fine: Kinesis deletes records after its retention period.
    """
    read = stream.read_by(offset)
    if read is not None and handled < read:
        return f"{read - handled:,} records were read but are neither in the table nor in the quarantine"
    left = stream.records - (read or 0)
    if acknowledged > handled + left:
        return (
            f"{acknowledged - handled - left:,} of the {acknowledged:,} records posted to it are neither in the table "
            "nor in the stream: Kinesis lost them, or the table was deleted"
        )
    return ""


@dataclass(frozen=True)
class Comparison:
    """For one table: posts in both layers, posts that differ, posts in one layer only."""

    both: int
    differing: int
    only_batch: int
    only_stream: int


def compare(profile: Profile, say: Say) -> dict[str, Comparison]:
    """Compare batch and stream tables on the cluster; the result by table. Raises PinflowError if that fails."""
    workspace = Workspace(profile)
    folder = workspace.sync_notebooks(say)
    outcome = workspace.run(f"{profile.uid} compare", [Task("compare", f"{folder}/compare", {"uid": profile.uid})], say)
    if not outcome.succeeded:
        raise PinflowError(
            "compare: the notebook failed, see above",
            f"both layers need tables: make batch, make stream; its cells: {outcome.page}",
        )
    return {name: Comparison(**found) for name, found in json.loads(outcome.results["compare"]).items()}


def agree(found: dict[str, Comparison]) -> bool:
    """Whether there is something to compare in each table, and no post differs."""
    return all(one.both and not one.differing for one in found.values())


def job_name(profile: Profile) -> str:
    """What the job is called in the workspace."""
    return f"{profile.uid} stream"


def _progress(workspace: Workspace) -> list[dict[str, Any]]:
    content = workspace.read_file(f"/FileStore/streams/{workspace.profile.uid}.json")
    try:
        return list(json.loads(content or "[]"))
    except ValueError:  # it is being written
        return []


def _is_fresh(progress: list[dict[str, Any]]) -> bool:
    return bool(progress) and all(time.time() - query["time"] < FRESH for query in progress)
