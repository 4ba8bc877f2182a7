"""Delivers records over HTTP: retries, splits requests, and spills to a file what stays undelivered.

Delivery is at least once. If the answer to a request is lost (a timeout, a connection reset, a gateway's 5xx, an answer
that cannot be read), nobody knows whether its records were written, and all of them are sent again. So a record can be
written twice, and a record in the spill file may have been written after all. The readers deduplicate.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from typing import NamedTuple, Protocol

import requests
from requests.auth import AuthBase

from emulator.authorization import SigningError
from emulator.spill import Spill
from emulator.totals import Totals
from foundation.backoff import Backoff
from foundation.loopback import is_local

CONNECT_TIMEOUT = 5.0
REASON_LENGTH = 500


@dataclass(frozen=True)
class Limits:
    """How much goes into one request, how many requests of a topic are in flight, how long to retry.

    With ``concurrency`` 1 a topic's records keep their order, except those that are retried. A record larger than
    ``batch_bytes`` goes alone. ``give_up_after`` is how many seconds a topic may fail without one acknowledged record;
    after that, its next groups get one attempt each until one succeeds. ``timeout`` limits the wait for one answer, in
    seconds.
    """

    batch_size: int = 500
    batch_bytes: int = 1_000_000
    concurrency: int = 1
    give_up_after: float = 120.0
    timeout: float = 35.0


class Outcome(Enum):
    """What happened to one record of a request."""

    DELIVERED = auto()
    AGAIN = auto()  # failed for now, or nobody knows
    SPLIT = auto()  # the request was refused as a whole: find the record that is to blame
    REFUSED = auto()  # no further try can help


class Verdict(NamedTuple):
    """An outcome with its reason, for the person who reads the spill file."""

    outcome: Outcome
    reason: str = ""


@dataclass(frozen=True)
class Request:
    """One HTTP request for several records."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes


class Wire(Protocol):
    """How a service wants its records and how it answers.

    ``overhead`` is what a record costs in a request's body beyond its own JSON, in bytes.
    """

    overhead: int

    def request(self, topic: str, records: list[bytes]) -> Request:
        """The request that carries the records, each a row's JSON."""

    def judge(self, answer: requests.Response, count: int) -> list[Verdict]:
        """What an answer says of each of the request's `count` records, in their order."""


def by_status(answer: requests.Response) -> Verdict | None:
    """What an HTTP status means by itself, whatever the service; None where the service has to say."""
    status = answer.status_code
    if status in (408, 425, 429) or status >= 500:
        return Verdict(Outcome.AGAIN, describe(answer))
    if status == 413:
        return Verdict(Outcome.SPLIT, describe(answer))
    if 300 <= status < 400:  # following it would turn a POST into a GET
        target = answer.headers.get("Location", "elsewhere")
        return Verdict(Outcome.REFUSED, f"{describe(answer)} (redirected to {target}: put that in the profile)")
    return None


def describe(answer: requests.Response) -> str:
    """Status, address and text of an answer, cut to a readable length."""
    text = " ".join(answer.content.decode("utf-8", "replace").split())
    return f"HTTP {answer.status_code} from {answer.url}: {text}"[:REASON_LENGTH]


def json_object(answer: requests.Response) -> dict[str, object]:
    """The body as a JSON object; an empty one if it is something else."""
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def by_entry(
    answer: requests.Response, entries: object, count: int, judge: Callable[[dict[str, object]], Verdict]
) -> list[Verdict]:
    """The verdicts of a 200 with an entry for each record. If one is missing, none of them counts as acknowledged."""
    if not isinstance(entries, list) or len(entries) != count or not all(isinstance(entry, dict) for entry in entries):
        return [Verdict(Outcome.AGAIN, f"not one entry for each of {count} records: {describe(answer)}")] * count
    return [judge(entry) for entry in entries]


def session(url: str, auth: AuthBase | None) -> requests.Session:
    """A client of an API: ``auth`` puts onto each request what API Gateway knows its callers by."""
    made = requests.Session()
    made.auth = auth
    # A proxy from the environment cannot reach this machine's own loopback addresses.
    made.trust_env = not is_local(url)
    return made


class Delivery:
    """Delivers groups of records; returns when every record is acknowledged or spilled. Threads can share it.

    ``auth`` authorizes each attempt. ``say`` reports an outage, once for each topic. ``acknowledged`` gets the topic
    and the number of records that were acknowledged.
    """

    def __init__(
        self,
        wire: Wire,
        totals: Totals,
        spill: Spill,
        limits: Limits,
        say: Callable[[str], None] = lambda text: None,
        auth: AuthBase | None = None,
        acknowledged: Callable[[str, int], None] = lambda topic, records: None,
    ) -> None:
        self._wire = wire
        self._acknowledged = acknowledged
        self._auth = auth
        self._totals = totals
        self._spill = spill
        self._give_up_after = limits.give_up_after
        self._timeout = limits.timeout
        self._say = say
        self._sessions = threading.local()
        self._in_trouble: set[str] = set()
        self._given_up: set[str] = set()

    def deliver(self, topic: str, records: list[bytes], settled: Callable[[list[bytes]], None]) -> None:
        """Deliver each record's JSON or spill it; `settled` gets every record once, as soon as it is either."""
        began = time.monotonic()
        backoff = Backoff(0 if topic in self._given_up else self._give_up_after)
        groups = [records]  # a stack: the first half of a split goes before the second
        again = False
        while groups:
            group = groups.pop()
            verdicts, retry_after = self._try(topic, group, again=again)
            sorted_out = _sort(group, verdicts)
            if done := [record for record, _ in sorted_out[Outcome.DELIVERED]]:
                self._totals.delivered(len(done), sum(map(len, done)), time.monotonic() - began)
                settled(done)
                self._acknowledged(topic, len(done))
                backoff = Backoff(self._give_up_after)
                self._recovered(topic)
            refused = sorted_out[Outcome.REFUSED]
            if to_split := sorted_out[Outcome.SPLIT]:
                if len(group) == 1:
                    refused += to_split
                else:
                    halves = [record for record, _ in to_split]
                    middle = (len(halves) + 1) // 2
                    groups += [half for half in (halves[middle:], halves[:middle]) if half]
            self._give_up(topic, refused, settled)
            again = False
            if failed := sorted_out[Outcome.AGAIN]:
                self._trouble(topic, failed[0][1])
                again = backoff.wait(retry_after)
                if again:
                    groups.append([record for record, _ in failed])
                else:
                    self._given_up.add(topic)
                    self._give_up(topic, failed, settled)

    def _try(self, topic: str, records: list[bytes], *, again: bool) -> tuple[list[Verdict], float]:
        """Send one request; a verdict a record, and the seconds that the server asks to wait."""
        request = self._wire.request(topic, records)
        self._totals.requested(again=again)
        try:
            answer = self._session(request.url).request(
                request.method,
                request.url,
                data=request.body,
                headers=request.headers,
                timeout=(CONNECT_TIMEOUT, self._timeout),
                allow_redirects=False,
            )
        except SigningError as error:  # somebody may sign in meanwhile
            return [Verdict(Outcome.AGAIN, f"{error.what} ({error.fix})"[:REASON_LENGTH])] * len(records), 0.0
        except requests.RequestException as error:
            return [Verdict(Outcome.AGAIN, self._network_reason(request.url, error))] * len(records), 0.0
        return self._wire.judge(answer, len(records)), _retry_after(answer)

    def _network_reason(self, url: str, error: requests.RequestException) -> str:
        if isinstance(error, requests.ReadTimeout):
            return f"no answer from {url} within {self._timeout:g} s"
        cause: BaseException = error
        while inner := cause.__cause__ or cause.__context__:  # requests wraps urllib3, which wraps the socket's error
            cause = inner
        return f"no connection to {url}: {str(cause) or type(cause).__name__}"[:REASON_LENGTH]

    def _session(self, url: str) -> requests.Session:
        """One session a thread: keep-alive without sharing a connection."""
        found: requests.Session | None = getattr(self._sessions, "session", None)
        if found is None:
            found = self._sessions.session = session(url, self._auth)
        return found

    def _give_up(self, topic: str, records: list[tuple[bytes, str]], settled: Callable[[list[bytes]], None]) -> None:
        for record, reason in records:
            self._spill.write(topic, record, reason)
            self._totals.failed(1)
            settled([record])

    def _trouble(self, topic: str, reason: str) -> None:
        if topic not in self._in_trouble:
            self._in_trouble.add(topic)
            self._say(f"{topic}: {reason}; retrying for {self._give_up_after:g} s")

    def _recovered(self, topic: str) -> None:
        self._given_up.discard(topic)
        if topic in self._in_trouble:
            self._in_trouble.discard(topic)
            self._say(f"{topic}: records are delivered again")


def _sort(records: list[bytes], verdicts: list[Verdict]) -> dict[Outcome, list[tuple[bytes, str]]]:
    """The records with their reasons by outcome, in their order."""
    by_outcome: dict[Outcome, list[tuple[bytes, str]]] = {outcome: [] for outcome in Outcome}
    for record, verdict in zip(records, verdicts, strict=True):
        by_outcome[verdict.outcome].append((record, verdict.reason))
    return by_outcome


def _retry_after(answer: requests.Response) -> float:
    """The Retry-After header in seconds: a number or an HTTP date; 0 if there is none or it makes no sense."""
    text = answer.headers.get("Retry-After", "")
    if text.isdecimal():
        return float(text)
    with contextlib.suppress(ValueError, TypeError):
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    return 0.0
