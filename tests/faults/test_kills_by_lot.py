"""Services, emulators, the streams' notebook and supervisord killed by lot while people post: every record is there.

make test-faults ARGS="--kills 60 --seed 7"
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from foundation.profile import ROOT
from tests.faults import reckoning
from tests.faults.diary import Diary
from tests.faults.lot import PER_ROUND, VICTIMS, Blow, draw
from tests.faults.people import Batches, People, command
from tests.faults.recovery import Watch, table
from tests.stack import TestStack, in_containers, running

KILLS = 6
ROWS = 11_000
"""Of the source; no emulator gets to its end."""
PATIENCE = 420
"""Seconds for whatever is waited for after the last kill of a round."""


@dataclass(frozen=True)
class Lot:
    """What was asked for on the command line."""

    kills: int
    seed: int
    minutes: float

    @property
    def rate(self) -> float:
        """Posts per second, so that the source's rows last."""
        return round(min(10, 0.6 * ROWS / (self.minutes * 60 + 60)), 2)


@pytest.fixture(scope="module")
def lot(pytestconfig: pytest.Config) -> Lot:
    kills = pytestconfig.getoption("--kills") or KILLS
    return Lot(kills, pytestconfig.getoption("--seed"), pytestconfig.getoption("--minutes") or kills / 2)


@pytest.fixture(scope="module")
def stack() -> Iterator[TestStack]:
    yield from running("lot")


def test_a_lot_is_the_same_each_time_and_spares_nobody() -> None:
    rounds = draw(7, 60, 30)
    assert rounds == draw(7, 60, 30) != draw(8, 60, 30)
    killed = Counter(victim for blows in rounds for blow in blows for victim in blow.victims)
    assert killed.total() == 60 and set(killed) == set(VICTIMS)
    assert [sum(len(blow.victims) for blow in blows) for blows in rounds] == [PER_ROUND] * 6
    assert any(len(blow.victims) == 2 for blows in rounds for blow in blows)
    assert all(0 <= blow.second <= 300 for blows in rounds for blow in blows)


@pytest.mark.long
@pytest.mark.timeout(0)  # each wait in it has a bound of its own, and says what it waited for
@pytest.mark.skipif(in_containers(), reason="a container has no supervisord, notebook and emulator to kill")
def test_killed_by_lot_every_record_is_where_it_belongs(stack: TestStack, lot: Lot) -> None:
    kept = ROOT / ".pinflow" / "tests" / f"kills-{lot.kills}-{lot.seed}"
    diary = Diary(kept.with_suffix(".jsonl"))
    stack.pinflow("stream")
    watch = Watch(stack, diary)
    watch.start()
    positions = {"batch": 0, "stream": 0}
    try:
        for number, blows in enumerate(draw(lot.seed, lot.kills, lot.minutes), 1):
            people = {way: People(stack, diary, way, start, lot.rate) for way, start in positions.items()}
            watch.people = {one.name: one for one in people.values()}
            strike(stack, watch, list(people.values()), diary, number, blows)
            positions = {way: one.position for way, one in people.items()}
            settle(stack, watch, diary)
            account(stack, diary, positions)
    finally:
        watch.stop()
    figures = table(watch.kills)
    kept.with_suffix(".md").write_text(figures + "\n")
    print(f"\n{lot.kills} kills, seed {lot.seed}\n\n{figures}\n")


def strike(stack: TestStack, watch: Watch, people: list[People], diary: Diary, number: int, blows: list[Blow]) -> None:
    """A round: people post, batches run, and the blows fall; ends when all that was in hand has been posted."""
    batches = Batches(stack, diary)
    for thread in (*people, batches):
        thread.start()
    began = time.monotonic()
    for place, blow in enumerate(blows):
        if place == len(blows) // 2:
            until("bad records are posted", lambda: reckoning.post_bad(stack, number), diary)
        time.sleep(max(0.0, blow.second - (time.monotonic() - began)))
        watch.kill(blow.victims)
        if "supervisord" in blow.victims:
            start_again(stack, diary)
    for one in people:
        one.stop()
    batches.stop()


def start_again(stack: TestStack, diary: Diary) -> None:
    """`make up`; once more if a service was not ready in its time, as the message of a failed one says."""
    for last in (False, True):
        began = time.monotonic()
        status, output = command(stack, "up", timeout=PATIENCE)
        diary.write("make up", status=status, seconds=round(time.monotonic() - began, 1), said=output.splitlines())
        assert "Traceback" not in output, f"{output}\n{diary.history()}"
        if status == 0:
            return
        assert not last, f"make up after supervisord was killed: status {status}\n{output}\n{diary.history()}"


def settle(stack: TestStack, watch: Watch, diary: Diary) -> None:
    """Wait until each kill is over and every record is in S3 and in the streams' tables."""
    until("every kill is over", watch.pending, diary)
    until("Kafka's records are in S3", lambda: reckoning.missing_in_s3(stack), diary)
    until("Kinesis' records are in the streams' tables", lambda: reckoning.missing_in_stream_tables(stack), diary)


def account(stack: TestStack, diary: Diary, positions: dict[str, int]) -> None:
    """What was posted is in Kafka and in Kinesis; the batch's tables are the oracle's; the product says the same."""
    for way, found in (("batch", reckoning.posts_in_kafka(stack)), ("stream", reckoning.posts_in_kinesis(stack))):
        for kind, posts in found.items():
            missing = sorted(set(range(positions[way])) - posts)
            assert not missing, f"{kind}: posted to the {way} path and lost: {missing}\n{diary.history()}"
    for words in (("batch",), ("status",), ("compare",)):
        status, output = command(stack, *words, timeout=PATIENCE)
        diary.write("at rest", command=words[0], status=status, said=output.splitlines())
        assert status == 0, f"make {words[0]}: status {status}\n{output}\n{diary.history()}"
    wrong = reckoning.wrong_in_batch_tables(stack)
    assert not wrong, f"{wrong}\n{diary.history()}"
    diary.write("the account adds up", posted=positions)


def until(what: str, wrong: Callable[[], str], diary: Diary) -> None:
    """Wait until nothing is wrong any more; AssertionError with what was wrong last, and the kills."""
    deadline, last = time.monotonic() + PATIENCE, ""
    while True:
        try:
            now = wrong()
        except Exception as error:  # of whatever was killed
            now = repr(error)
        if now != last:
            diary.write("waiting", until=what, but=now)
        if not now:
            return
        last = now
        assert time.monotonic() < deadline, f"after {PATIENCE} s not so: {what}: {last}\n{diary.history()}"
        time.sleep(1)
