"""The batch path's wire: the Confluent REST Proxy v2 produce call behind API Gateway's `/{proxy+}`."""

from __future__ import annotations

from urllib.parse import quote

import requests

from emulator.delivery import Outcome, Request, Verdict, by_entry, by_status, describe, json_object

# Error codes of the REST Proxy: https://docs.confluent.io/platform/current/kafka-rest/api.html#errors
KAFKA_ERROR = 50002
RETRIABLE_KAFKA_ERROR = 50003


class KafkaRestWire:
    """`POST <invoke-url>/topics/<topic>` with `{"records":[{"value":{…row…}}, …]}`."""

    overhead = len(b'{"value":},')

    def __init__(self, invoke_url: str) -> None:
        self._invoke_url = invoke_url

    def request(self, topic: str, records: list[bytes]) -> Request:
        """See Wire. No Accept header is sent but `*/*`: the proxy refuses application/json with 406."""
        return Request(
            method="POST",
            url=f"{self._invoke_url}/topics/{quote(topic, safe='')}",
            headers={"Content-Type": "application/vnd.kafka.json.v2+json"},
            body=b'{"records":[{"value":' + b'},{"value":'.join(records) + b"}]}",
        )

    def judge(self, answer: requests.Response, count: int) -> list[Verdict]:
        """See Wire. A 200 has an entry a record in `offsets`, each with an error code of its own.

        An error status is the proxy's verdict only if the body has its `error_code`. Anything else comes from the way
        there: API Gateway answers 403 or 404 while the API is being deployed, LocalStack while it starts.
        """
        body = json_object(answer)
        if answer.status_code == 200:
            return by_entry(answer, body.get("offsets"), count, _entry)
        code = body.get("error_code")
        if code == KAFKA_ERROR or (answer.status_code in (400, 422) and isinstance(code, int)):
            return [Verdict(Outcome.SPLIT, describe(answer))] * count  # one record may spoil the whole request
        general = by_status(answer)
        if general is not None:
            return [general] * count
        if not isinstance(code, int):
            return [Verdict(Outcome.AGAIN, describe(answer))] * count
        return [Verdict(Outcome.REFUSED, describe(answer))] * count


def _entry(entry: dict[str, object]) -> Verdict:
    code = entry.get("error_code")
    if code is None and isinstance(entry.get("offset"), int):
        return Verdict(Outcome.DELIVERED)
    reason = f"error_code {code}: {entry.get('error')}"
    return Verdict(Outcome.AGAIN if code in (None, RETRIABLE_KAFKA_ERROR) else Outcome.REFUSED, reason)
