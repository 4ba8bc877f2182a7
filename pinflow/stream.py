"""The stream job: our notebook as a continuous job of the workspace, and how far it is behind Kinesis."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from pinflow import counts
from pinflow.aws import client
from pinflow.batch import sync_notebooks
from pinflow.databricks import Task, Workspace
from pinflow.errors import NotReady, PinflowError, brief
from pinflow.profile import Profile

Say = Callable[[str], None]

FRESH = 15.0
"""Seconds for which what the notebook wrote counts as its present state; it writes every 2 s."""
_MOST_COUNTED = 100_000


@dataclass(frozen=True)
class Lag:
    """Records of a stream that its query has not read yet, and for how many seconds the first of them has waited."""

    records: int
    seconds: float


@dataclass(frozen=True)
class StreamStatus:
    """One stream and its query.

    state        running, stopped, or waiting: the job is to run, and its notebook has not said anything lately
    read         records read since the query's start
    rows         of its table, None where that cannot be read; quarantined: records that did not fit
    lag          None where the query's position is unknown
    """

    name: str
    state: str
    read: int
    rows_per_second: float
    rows: int | None
    quarantined: int | None
    lag: Lag | None


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
    folder = sync_notebooks(workspace, say)
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


def stop(profile: Profile, say: Say) -> None:
    """End the job; what the queries have in hand they do again at the next start, and once only."""
    stopped = Workspace(profile).stop_running(job_name(profile))
    say("stopped the streams" if stopped else "no stream was running")


def status(profile: Profile) -> list[StreamStatus]:
    """Each stream at this moment: from the notebook, from the tables, and from Kinesis itself."""
    workspace = Workspace(profile)
    runs = workspace.keeps_running(job_name(profile))
    found = {query["query"]: query for query in _progress(workspace)}
    rows = counts.stream_rows(profile)

    def one(kind: str, stream: str) -> StreamStatus:
        query = found.get(f"{profile.uid}_{kind}", {})
        state = "stopped" if not runs else "running" if query and _is_fresh([query]) else "waiting"
        return StreamStatus(
            name=stream,
            state=state,
            read=query.get("read", 0),
            rows_per_second=query.get("rows_per_second", 0.0) if state == "running" else 0.0,
            rows=rows.get(kind),
            quarantined=rows.get(f"{kind} quarantined"),
            lag=_lag(profile, stream, query.get("offset")),
        )

    with ThreadPoolExecutor() as pool:
        return list(pool.map(one, counts.KEYS, profile.streams))


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
    folder = sync_notebooks(workspace, say)
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


def _lag(profile: Profile, stream: str, offset: Any) -> Lag | None:
    shards = _unread(stream, offset)
    if shards is None:
        return None
    kinesis = client(profile, "kinesis")
    try:
        arrivals = [_arrivals(kinesis, stream, shard, place) for shard, place in shards.items()]
    except (BotoCoreError, ClientError) as error:
        raise NotReady(f"Kinesis: {brief(error)}") from None
    first = min((one[0] for one in arrivals if one), default=None)
    return Lag(sum(len(one) for one in arrivals), max(0.0, time.time() - first) if first else 0.0)


def _unread(stream: str, offset: Any) -> dict[str, dict[str, Any]] | None:
    """Shards that may hold more, each with the place to read on from, as GetShardIterator takes it.

    Offsets differ: services/spark/kinesis writes {"streams": …}, Databricks a list of shards, as in its documents on
    monitoring. None for anything else.
    """
    try:
        document = json.loads(offset) if isinstance(offset, str) else offset
        if isinstance(document, list):
            shards = {one["shard"]["shardId"]: one for one in document if one["shard"]["stream"] == stream}
        else:
            shards = document["streams"][stream]
        places = {shard: _place(position) for shard, position in shards.items()}
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
    return {shard: place for shard, place in places.items() if place} if places else None


def _place(position: Any) -> dict[str, Any] | None:
    """A position in either form; None at the end of a closed shard. Raises ValueError for anything else."""
    match position:
        case {"type": "SHARD_END"} | {"closed": True}:
            return None
        case {"type": "AFTER_SEQUENCE_NUMBER", "sequenceNumber": str(number)} | {"lastSeqNum": str(number)}:
            return {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": number}
        case {"type": "AT_TIMESTAMP", "timestamp": int(milliseconds)}:
            return {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": milliseconds / 1000}
        case {"type": "TRIM_HORIZON" | "LATEST" as kind}:
            return {"ShardIteratorType": kind}
    raise ValueError(position)


def _arrivals(kinesis: Any, stream: str, shard: str, place: dict[str, Any]) -> list[float]:
    """When each record after a place came, seconds since 1970; no more than the first so many."""
    iterator = kinesis.get_shard_iterator(StreamName=stream, ShardId=shard, **place)["ShardIterator"]
    found: list[float] = []
    while iterator and len(found) < _MOST_COUNTED:
        answer = kinesis.get_records(ShardIterator=iterator, Limit=2000)
        found += [record["ApproximateArrivalTimestamp"].timestamp() for record in answer["Records"]]
        if not answer.get("MillisBehindLatest"):
            break
        iterator = answer.get("NextShardIterator")
    return found
