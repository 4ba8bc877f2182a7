"""The account of every record: it adds up over any history, and says which record of which table is missing where."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from deltalake import DeltaTable
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foundation.errors import PinflowError
from pinflow import account
from pinflow.account import waiting
from pinflow.account.topics import Topics
from tests.contract.account.world import KINDS, Loads, World
from tests.contract.aws.conftest import moto_server  # noqa: F401 - a fixture

Make = Callable[[], World]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home") / "stack"


@pytest.fixture(scope="module")
def loads(home: Path) -> Iterator[Loads]:
    """One driver for all tests: what one run keeps in its memory the next must not be given."""
    directory = home / "spark" / "dbfs" / "user" / "hive" / "warehouse"
    directory.mkdir(parents=True)
    made = Loads(directory)
    yield made
    made.close()


@pytest.fixture
def make(tmp_path: Path, moto_server: str, loads: Loads, home: Path, monkeypatch: pytest.MonkeyPatch) -> Make:  # noqa: F811
    for name in [name for name in os.environ if name.startswith(("AWS_", "PINFLOW_"))]:
        monkeypatch.delenv(name)
    # moto tells an object's time when it has it whole, in whole seconds.
    monkeypatch.setattr(account, "_CLOCK", 0.0)

    def world() -> World:
        uid = secrets.token_hex(6)
        made = World(tmp_path / uid, moto_server, loads, home, uid)
        monkeypatch.setattr(Topics, "of", made.topics)
        return made

    return world


def next_second() -> None:
    """S3 tells whole seconds: what was posted in the second in which a load began may have been there before it."""
    time.sleep(1 - time.time() % 1)


def check(world: World, loaded: bool) -> None:
    """The account adds up, and its numbers are those of a reader of the records alone."""
    found = account.take(world.profile)
    assert found.broken == []
    for topic in found.topics:
        expected = world.expected[topic.table]
        if not expected.records:
            continue
        in_kafka = (topic.posted, topic.in_kafka, topic.in_s3, topic.dead_letters, topic.nulls, topic.late, topic.lost)
        assert in_kafka == (
            expected.records, expected.records, expected.lines, expected.dead, expected.nulls, 0, 0,
        )  # fmt: skip
        if loaded and expected.lines:
            rows = len(expected.posts)
            assert (topic.lines, topic.rows, topic.quarantined) == (expected.lines, rows, expected.unfit)
            assert topic.duplicates == expected.lines - expected.unfit - rows
            assert topic.waiting == 0


records = st.tuples(
    st.sampled_from(["good", "good", "good", "unfit", "not JSON", "null"]), st.integers(0, 6), st.integers(0, 2)
)
runs = st.lists(
    st.tuples(st.sampled_from(KINDS), st.lists(records, min_size=1, max_size=12), st.integers(1, 5), st.booleans()),
    min_size=1,
    max_size=4,
)


@pytest.mark.parametrize("examples", [3, pytest.param(25, marks=[pytest.mark.long, pytest.mark.timeout(3000)])])
def test_the_account_adds_up_after_every_run_of_any_history(make: Make, examples: int) -> None:
    """Good, bad, null, duplicate and differing records, several runs on one driver, in any order."""

    @settings(
        max_examples=examples, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), print_blob=True
    )
    @given(history=runs, letters=st.booleans())
    def over(history: list[tuple[str, list[tuple[str, int, int]], int, bool]], letters: bool) -> None:
        world = make()
        for kind, posted, flush, batch in history:
            world.post(kind, posted)
            world.sink(kind, flush, letters)
            if batch:
                world.batch()
                next_second()
            check(world, loaded=batch)
            lines = waiting.until_landed(world.profile, 5, lambda text: None)
            assert lines[f"{world.uid}.{kind}"] == world.expected[kind].lines

    over()


def broken(world: World) -> str:
    """What does not add up: of one place alone."""
    (found,) = account.take(world.profile).broken
    return found


GOOD = [("good", number, 0) for number in range(5)]


@pytest.fixture
def world(make: Make) -> World:
    """All three topics with five posts, one bad record of geo, and tables."""
    made = make()
    for kind in KINDS:
        made.post(kind, [*GOOD, *([("unfit", 1, 0), ("not JSON", 0, 0)] if kind == "geo" else [])])
        made.sink(kind, 3)
    made.batch()
    next_second()
    check(made, loaded=True)
    return made


def test_bad_records_at_the_end_of_a_partition_are_neither_late_nor_lost(world: World) -> None:
    world.post("pin", [("good", 9, 0), ("not JSON", 1, 0), ("null", 0, 0)])
    world.sink("pin", 3)
    assert world.partitions[f"{world.uid}.pin"][0].committed == 6
    assert waiting.until_landed(world.profile, 1, lambda text: None)[f"{world.uid}.pin"] == 6
    check(world, loaded=False)


def test_a_quarantined_record_of_one_table_hides_nothing_of_another(world: World) -> None:
    DeltaTable(str(world.table("pin"))).delete("ind >= 2")
    found = account.take(world.profile)
    assert len(found.broken) == 2
    assert all(f"{world.uid}_pin" in text for text in found.broken)
    assert "3 records in S3 are neither in the table nor in the quarantine" in found.broken[0]
    assert "made 5 rows and 0 quarantined records, but there are 2 and 0" in found.broken[1]


def test_a_dead_letter_of_one_topic_hides_no_lost_line_of_another(world: World) -> None:
    world.delete_object("pin")
    assert f"{world.uid}.pin: 3 records in Kafka are neither in S3 nor dead letters" in broken(world)
    assert "partition 0, offset 0 to 2" in broken(world)


def test_a_record_that_the_quarantine_lacks_is_missed(world: World) -> None:
    DeltaTable(str(world.table("quarantine"))).delete("table = 'geo'")
    assert f"{world.uid}_geo: its load made 5 rows and 1 quarantined records, but there are 5 and 0" in broken(world)


def test_a_load_between_its_two_commits_is_under_way_and_not_wrong(world: World) -> None:
    """The quarantine's commit comes first: with the new one, and the old table, the two do not fit."""
    before = DeltaTable(str(world.table("user"))).version()
    world.post("user", [("unfit", 1, 0)])
    world.sink("user", 3)
    world.batch()
    assert before == DeltaTable(str(world.table("user"))).version() - 1
    for file in (world.table("user") / "_delta_log").glob(f"*{before + 1:020}.*"):
        file.unlink()
    found = account.take(world.profile)
    assert found.broken == []
    assert f"{world.uid}_user: a load is running or was interrupted: make batch" in found.pending


def test_what_spark_does_not_read_is_not_counted(world: World) -> None:
    for name in (".DS_Store", "_notes.json", "_old/a.json", "partition=0/.hidden.json"):
        key = f"topics/{world.uid}.pin/{name}"
        world.s3.put_object(Bucket=world.profile.storage.bucket, Key=key, Body=b"a\nb\n")
    check(world, loaded=True)


def test_records_that_are_posted_and_not_in_kafka_are_missed(world: World) -> None:
    world.partitions[f"{world.uid}.user"][0].end -= 1
    assert f"{world.uid}.user: 5 records posted, 4 in Kafka" in broken(world)


def test_what_is_under_way_is_late_and_not_lost(world: World) -> None:
    world.post("pin", [("good", 9, 0)])
    found = account.take(world.profile)
    assert found.adds_up
    assert [text for text in found.pending if "1 records in Kafka are not yet in S3" in text]
    with pytest.raises(PinflowError, match="1 records are not in s3://"):
        waiting.until_landed(world.profile, 1, lambda text: None)
    world.sink("pin", 3)
    found = account.take(world.profile)
    assert found.adds_up
    assert [text for text in found.pending if "1 records in S3 came after the table was made" in text]


def test_a_load_that_read_less_than_was_there_before_it_is_noticed(world: World) -> None:
    found = account.take(world.profile, {f"{world.uid}.pin": 6})
    assert found.broken == [f"{world.uid}_pin: the load read 5 records, but S3 had 6 before it"]
