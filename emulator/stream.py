"""The stream path's wire: Kinesis' PutRecord and PutRecords behind API Gateway's `/streams/{stream-name}`."""

from __future__ import annotations

import json
from urllib.parse import quote

import requests

from emulator.delivery import Outcome, Request, Verdict, by_entry, by_status, describe, json_object
from foundation.registry import TABLES

MOST_RECORDS = 500  # a request: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html
LONGEST_KEY = 256  # characters

# Kinesis answers these with 400, and they pass.
_PASSING = ("Throughput", "Throttl", "LimitExceeded", "InternalFailure", "ServiceUnavailable", "RequestExpired")
# No record is to blame for these, so that halving the request would find none.
_FINAL = ("ResourceNotFound", "AccessDenied", "KMS", "UnrecognizedClient", "InvalidSignature")

_KEYS = tuple(dict.fromkeys(table.key for table in TABLES.values()))


class KinesisWire:
    """`PUT <invoke-url>/streams/<stream>/record` with one record, `…/records` with several.

    ``partition_key`` is the key of every record; None gives each its row's number, which spreads the rows over the
    shards and keeps the versions of one row in order.
    """

    def __init__(self, invoke_url: str, partition_key: str | None = None) -> None:
        self._invoke_url = invoke_url
        self._partition_key = partition_key
        self.overhead = len(b'{"data":,"partition-key":""},') + len((partition_key or "4294967295").encode())

    def request(self, stream: str, records: list[bytes]) -> Request:
        """See Wire. A record's bytes in Kinesis are its JSON, to which API Gateway's template turns `Data`."""
        if len(records) == 1:
            head = json.dumps({"StreamName": stream}, ensure_ascii=False)[:-1].encode()
            call, body = "record", b'%s,"Data":%s,"PartitionKey":%s}' % (head, records[0], self._key(records[0]))
        else:
            entries = (b'{"data":%s,"partition-key":%s}' % (record, self._key(record)) for record in records)
            call, body = "records", b'{"records":[%s]}' % b",".join(entries)
        return Request(
            method="PUT",
            url=f"{self._invoke_url}/streams/{quote(stream, safe='')}/{call}",
            headers={"Content-Type": "application/json"},
            body=body,
        )

    def judge(self, answer: requests.Response, count: int) -> list[Verdict]:
        """See Wire. The 200 of PutRecords has an entry a record, each with an ErrorCode of its own if it failed."""
        if answer.status_code == 200:
            body = json_object(answer)
            return by_entry(answer, body.get("Records") if count > 1 else [body], count, _entry)
        return [_refusal(answer)] * count

    def _key(self, record: bytes) -> bytes:
        key = self._partition_key
        if key is None:
            row = json.loads(record)
            key = str(next(row[name] for name in _KEYS if name in row))
        return json.dumps(key, ensure_ascii=False).encode()


def _entry(entry: dict[str, object]) -> Verdict:
    """Kinesis has two codes for a record, throughput exceeded and internal failure; both pass."""
    if isinstance(entry.get("SequenceNumber"), str) and not entry.get("ErrorCode"):
        return Verdict(Outcome.DELIVERED)
    return Verdict(Outcome.AGAIN, f"{entry.get('ErrorCode')}: {entry.get('ErrorMessage')}")


def _refusal(answer: requests.Response) -> Verdict:
    """What an error status means for every record of the request.

    Kinesis' own errors name their `__type`. A 400 without one is API Gateway's: the body does not fit its model.
    Anything else comes from the way there, as in the batch path: 403 or 404 while the API is being deployed.
    """
    reason = describe(answer)
    if general := by_status(answer):
        return general
    kind = str(json_object(answer).get("__type", "")).rpartition("#")[2]
    if any(word in kind for word in _PASSING):
        return Verdict(Outcome.AGAIN, reason)
    if kind.startswith(_FINAL) or answer.status_code == 415:
        return Verdict(Outcome.REFUSED, reason)
    return Verdict(Outcome.SPLIT if answer.status_code == 400 else Outcome.AGAIN, reason)
