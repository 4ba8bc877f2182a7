"""A Kinesis in memory that answers as the recorded one did, through boto3's calls."""

from __future__ import annotations

import threading
from collections import deque
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from tests.unit.spark.kinesis import recorded

SECOND = 1_700_000_000_000
"""The time of the first record: milliseconds since 1970, a whole second."""


class FakeKinesis:
    """Shards are made with ``shard`` and filled with ``put``; ``errors`` come first, one a call, by the call's name."""

    def __init__(self, *streams: str) -> None:
        self.streams: dict[str, dict[str, dict[str, Any]]] = {stream: {} for stream in streams or ("s",)}
        self.records: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self.errors: dict[str, deque[tuple[str, str, int] | Exception]] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._lock = threading.RLock()
        self._puts = 0

    def shard(self, number: int, *parents: int, stream: str = "s", first: int | None = None) -> str:
        """A new open shard, whose parents are closed; ids and ranges have the recorded form."""
        id_ = f"shardId-{number:012d}"
        with self._lock:
            for parent in parents:
                self.close(parent, stream)
            entry = {
                "ShardId": id_,
                "HashKeyRange": recorded.LISTED[0]["HashKeyRange"],
                "SequenceNumberRange": {"StartingSequenceNumber": str(first or 10**55 + number * 10**50)},
            }
            for name, parent in zip(("ParentShardId", "AdjacentParentShardId"), parents, strict=False):
                entry[name] = f"shardId-{parent:012d}"
            self.streams[stream][id_] = entry
            self.records[stream, id_] = []
        return id_

    def close(self, number: int, stream: str = "s") -> None:
        range_ = self.streams[stream][f"shardId-{number:012d}"]["SequenceNumberRange"]
        range_["EndingSequenceNumber"] = recorded.LISTED[0]["SequenceNumberRange"]["EndingSequenceNumber"]

    def put(self, number: int, *texts: str, at: int = SECOND, stream: str = "s") -> list[str]:
        """Records that came ``at``; returns their sequence numbers."""
        id_ = f"shardId-{number:012d}"
        numbers = []
        with self._lock:
            for text in texts:
                there = self.records[stream, id_]
                first = int(self.streams[stream][id_]["SequenceNumberRange"]["StartingSequenceNumber"])
                last = int(there[-1]["SequenceNumber"]) if there else first
                # As the real ones: never the same again, even for a record that takes the place of a lost one.
                self._puts += 1
                numbers.append(str(last + 1000 + self._puts))
                there.append(
                    recorded.RECORD
                    | {
                        "SequenceNumber": numbers[-1],
                        "Data": text.encode(),
                        "PartitionKey": text,
                        "ApproximateArrivalTimestamp": datetime.fromtimestamp(at / 1000, UTC),
                    }
                )
        return numbers

    def lose(self, number: int, count: int, stream: str = "s") -> None:
        """Forget the last records of a shard, as a Kinesis that was killed."""
        with self._lock:
            del self.records[stream, f"shardId-{number:012d}"][-count:]

    def list_shards(self, MaxResults: int = 100, **where: Any) -> dict[str, Any]:
        self._note("ListShards", where)
        with self._lock:
            if token := where.get("NextToken"):
                stream, _, after = token.partition("::")
            else:
                stream, after = self._stream(where), ""
            shards = [dict(entry) for id_, entry in sorted(self.streams[stream].items()) if id_ > after]
        more = {"NextToken": f"{stream}::{shards[MaxResults - 1]['ShardId']}"} if len(shards) > MaxResults else {}
        return {"Shards": shards[:MaxResults]} | more

    def get_shard_iterator(self, ShardId: str, ShardIteratorType: str, **where: Any) -> dict[str, Any]:
        self._note("GetShardIterator", {"ShardId": ShardId, "ShardIteratorType": ShardIteratorType} | where)
        with self._lock:
            stream = self._stream(where)
            if ShardId not in self.streams[stream]:
                raise error(recorded.MISSING_SHARD, "GetShardIterator", ShardId, stream)
            records = self.records[stream, ShardId]
            if ShardIteratorType == "TRIM_HORIZON":
                index = 0
            elif ShardIteratorType == "AT_TIMESTAMP":
                # boto3 sends whole seconds.
                second = int(where["Timestamp"].timestamp())
                later = (r["ApproximateArrivalTimestamp"].timestamp() >= second for r in records)
                index = next((n for n, is_later in enumerate(later) if is_later), len(records))
            else:
                number = where["StartingSequenceNumber"]
                numbers = [record["SequenceNumber"] for record in records]
                if number not in numbers and records:
                    raise error(recorded.MISSING_RECORD, "GetShardIterator", number, stream)
                index = numbers.index(number) if number in numbers else 0
                index += ShardIteratorType == "AFTER_SEQUENCE_NUMBER" and bool(records)
        return {"ShardIterator": f"{stream} {ShardId} {index}"}

    def get_records(self, ShardIterator: str, Limit: int, **where: Any) -> dict[str, Any]:
        self._note("GetRecords", {"ShardIterator": ShardIterator, "Limit": Limit} | where)
        stream, id_, begin = ShardIterator.split()
        with self._lock:
            records = self.records[stream, id_]
            page = records[int(begin) : int(begin) + Limit]
            end = int(begin) + len(page)
            answer: dict[str, Any] = {"Records": page, "MillisBehindLatest": 0 if end == len(records) else 5000}
            closed = "EndingSequenceNumber" in self.streams[stream][id_]["SequenceNumberRange"]
            if not closed or end < len(records):
                answer["NextShardIterator"] = f"{stream} {id_} {end}"
        return answer

    def fail(self, name: str, *errors: tuple[str, str, int] | Exception) -> None:
        """The next calls of that name fail, one after the other."""
        self.errors.setdefault(name, deque()).extend(errors)

    def count(self, name: str, **where: Any) -> int:
        return sum(call == name and where.items() <= given.items() for call, given in self.calls)

    def _note(self, name: str, where: dict[str, Any]) -> None:
        with self._lock:
            self.calls.append((name, where))
            if waiting := self.errors.get(name):
                failure = waiting.popleft()
                raise failure if isinstance(failure, Exception) else error(failure, name)

    def _stream(self, where: dict[str, Any]) -> str:
        stream: str = where["StreamARN"].partition("/")[2] if "StreamARN" in where else where["StreamName"]
        if stream not in self.streams:
            raise error(recorded.MISSING_STREAM, "", stream)
        return stream


def error(of: tuple[str, str, int], operation: str, *words: str) -> ClientError:
    code, text, status = of
    answer: Any = {
        "Error": {"Code": code, "Message": text.format(*words)},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(answer, operation)
