"""The stream job: our notebook as a continuous job of the workspace, and how far it is behind Kinesis."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from emulator import books as posted
from foundation.databricks import Task, Workspace
from foundation.errors import PinflowError
from foundation.profile import Profile
from foundation.registry import TABLES
from pinflow.account import tables
from pinflow.account.streams import Lag, Stream

Say = Callable[[str], None]

FRESH = 15.0
"""Seconds for which what the notebook wrote counts as its present state; it writes every 2 s."""
_FAILED_LATELY = 120.0
"""Seconds for which a failed run says why the queries do not run; the job starts the next one sooner."""


@dataclass(frozen=True)
class StreamStatus:
    """One stream and its query.

    state        running, stopped, waiting (the job is to run, and its notebook has not said anything lately), or failed
                 (and its last run failed)
    read         records read since the query's start
    rows         of its table, None where that cannot be read; quarantined: records that did not fit
    lag          None where the query's position is unknown
    reason       of failed: the first line of the run's error, and its page
    missing      what does not add up between stream and table, in words; "" where all does
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
    """Keep the three queries running, from now on and after every failure; harmless when they do.

    Raises PinflowError if they do not run after ``timeout`` seconds: by default 300, or 900 on Databricks, where a
    cluster that is terminated is started first.
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
            raise PinflowError(f"stream: after {timeout:.0f} s the queries do not run", f"why is on {page}")
        if time.time() - said > 5:
            say("waiting for the three queries")
            said = time.time()
        time.sleep(0.5)
    say(f"three queries run after {time.time() - began:.1f} s; their notebook: {page}")


def are_wanted(profile: Profile) -> bool:
    """Whether the queries are to run: `make stream` was the last word."""
    return Workspace(profile).keeps_running(job_name(profile))


def stop(profile: Profile, say: Say) -> None:
    """End the job; what the queries have in hand they do again at the next start, and once only."""
    stopped = Workspace(profile).stop_running(job_name(profile))
    say("stopped the streams" if stopped else "no stream was running")


class Watch:
    """The streams, looked at again and again: what was read of Kinesis once is not read again."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._workspace = Workspace(profile)
        self._streams = [Stream(profile, name) for name in profile.streams]

    def status(self) -> list[StreamStatus]:
        """Each stream at this moment: from the notebook, from the tables, and from Kinesis itself."""
        profile, name = self._profile, job_name(self._profile)
        # In this order a record that moves on meanwhile is seen again, and none is missed.
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
    """What does not add up between a stream and its table, in which ``handled`` records are rows or quarantined.

    More rows than records are no fault: Kinesis lets go of what is older than its retention period.
    """
    read = stream.read_by(offset)
    if read is not None and handled < read:
        return f"{read - handled:,} records of it were read, and are neither in the table nor in the quarantine"
    left = stream.records - (read or 0)
    if acknowledged > handled + left:
        return (
            f"{acknowledged - handled - left:,} of the {acknowledged:,} records posted to it are neither in the table "
            "nor in the stream: Kinesis lost them, or the table was deleted"
        )
    return ""


@dataclass(frozen=True)
class Comparison:
    """Of one table: posts that both layers have, those that differ, those that only one has."""

    both: int
    differing: int
    only_batch: int
    only_stream: int


def compare(profile: Profile, say: Say) -> dict[str, Comparison]:
    """The batch tables and the streams', compared on the cluster, by table. Raises PinflowError when that fails."""
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
    except ValueError:  # just being written
        return []


def _is_fresh(progress: list[dict[str, Any]]) -> bool:
    return bool(progress) and all(time.time() - query["time"] < FRESH for query in progress)
