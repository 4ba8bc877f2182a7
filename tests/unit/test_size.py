"""`pinflow size`: numbers computed by hand from the quotas and the measurements, which are written here once more."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from emulator.encoding import encode
from foundation.errors import PinflowError
from foundation.profile import ROOT, load
from foundation.registry import TABLES
from pinflow.cli import cli
from pinflow.size import model
from pinflow.size.facts import FACTS, Fact, Facts
from pinflow.size.model import Load, Need, Plan, Settings, plan
from pinflow.size.present import settings
from services.mysql.seed import rows

NOW = settings(load("local"), spark_cores=2)
BENCH = (ROOT / "bench" / "README.md").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
ALL = {
    f"{section}.{name}": fact
    for section in ("quota", "measured", "present", "price")
    for name, fact in getattr(FACTS, section).items()
}


def needs(posts: float, facts: Facts = FACTS, now: Settings = NOW, **more: Any) -> dict[str, Need]:
    return {need.hop: need for need in plan(replace(Load(posts), **more), now, facts).needs}


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["size", *arguments])


@pytest.mark.parametrize(
    ("hop", "amount", "arrives", "dollars"),
    [
        # 3 tables × 2 layers × 20,000 / 500 = 240 requests/s, 630.72 million a month, in two tiers of the price:
        # 333 × 3.50 + 297.72 × 2.80 = 1,999.1
        ("API Gateway", 1, 240, 1_999.1 / 730),
        ("a request", 1, 500, 0),
        # 60,000 × 13 µs = 0.78 of 2 cores
        ("REST proxy", 2, 0.78, 0.0816),
        # a task takes 2 × 4.2 / 33,462 = 251 µs per record: 20,000 × 251 µs = 5.02 cores, / 0.6 = 8.4
        ("Kafka topic", 9, 20_000, 0),
        # 20,000 × (691 + 110 + 100) = 18.02 MB/s, / 15.6 / 0.6 = 1.9, in threes; 64.87 GB/h written, 10,898 GB kept
        ("MSK", 3, 18.02, 3 * 0.408 + 0.6487 + 10_898 * 0.10 / 730),
        # 60,000 × 251 µs = 15.06 cores, / 0.6 = 25.1, by workers of 8
        ("S3 sink", 32, 15.06, 32 * 0.11),
        # 60,000 × 86,400 records × 60.01 µs = 311,100 core seconds, in 3,600 × 0.6 − 17.4 = 2,142.6 s: 145.2;
        # 37 nodes and a driver, an hour of 24
        ("Spark, batch", 146, 311_100 / (3_600 - 17.4), 38 * (0.192 + 0.69 * 0.15) / 24),
        # 20,000 / 1,000 / 0.6 = 33.3; 102 shards, and 216 million records an hour
        ("Kinesis stream", 34, 20_000, 102 * 0.015 + 216 * 0.014),
        # 60,000 × 2 / 6,086 = 19.72 cores, and 3 commits of 1 s in 10 s, / 0.6 = 33.4; 9 nodes and a driver
        ("Spark, streams", 34, 20.02, 10 * (0.192 + 0.69 * 0.15)),
        ("Delta table", 1, 0.1, 0),
    ],
)
def test_a_hop_needs_what_its_quota_and_its_cost_say(hop: str, amount: float, arrives: float, dollars: float) -> None:
    need = needs(20_000)[hop]
    assert need.amount == amount
    assert need.load == pytest.approx(arrives, rel=0.001)
    assert need.dollars == pytest.approx(dollars, rel=0.001)
    assert need.excess == ""


def test_objects_in_s3_come_by_the_schedule() -> None:
    need = needs(20_000)["S3"]
    # 27 partitions, one object a minute each
    assert need.needed == "objects/h: 1,620"
    # 60 s × 20,000 / 9 = 133,333 records: 92.1, 14.7 and 13.3 MB in parts of 5,242,880 bytes: 18, 3 and 3 parts, and 2
    assert need.load == pytest.approx(9 / 60 * (20 + 5 + 5))


@pytest.mark.parametrize(
    ("hop", "posts"),
    [
        ("API Gateway", 100 / 6 * 500),  # the stage's ThrottlingRate, 500 records per request
        ("REST proxy", 2 / 13e-6 / 3),
        ("Kafka topic", 41_993),  # one partition
        ("S3 sink", 1 / (2 * 4.2 / 33_462) / 3),  # one MCU
        (
            "S3",
            (3_500 / 9 - 0.5) * 2_000,
        ),  # 3 requests per object and 3 tables; one object per 2 s, and per 2,000 records
        ("Spark, batch", (3_600 - 17.4) * 2 / 60.01e-6 / 3 / 86_400),
        ("Kinesis stream", 4_000),  # on demand, at first
        ("Spark, streams", 6_086 / 3),
    ],
)
def test_the_present_settings_hold_so_many_posts(hop: str, posts: float) -> None:
    assert needs(20_000)[hop].holds == pytest.approx(posts, rel=0.001)


def test_the_first_hop_to_break_is_the_one_that_holds_least() -> None:
    found = plan(Load(20_000), NOW, FACTS)
    assert (found.first.hop, round(found.first.holds or 0)) == ("Spark, batch", 461)
    larger = plan(Load(20_000), replace(NOW, spark_cores=1_000), FACTS)
    assert larger.first.hop == "S3 sink"


def test_the_page_lists_what_breaks_in_this_order() -> None:
    holds = sorted(need.holds for need in needs(20_000).values() if need.holds is not None)
    listed = re.findall(r"^\| ([\d,]+) posts/s \|", PAGE, re.MULTILINE)
    assert listed == [f"{posts:,.0f}" for posts in holds if posts < 60_000]


def test_posts_that_are_sent_alone_are_requests_beyond_the_account() -> None:
    alone = needs(20_000, records_per_request=1)
    assert alone["API Gateway"].load == 120_000
    assert alone["API Gateway"].excess == "200,000 requests/s for the account"  # / 0.6
    assert alone["API Gateway"].holds == pytest.approx(100 / 6)
    assert alone["REST proxy"].load == pytest.approx(60_000 * 0.4e-3)


def test_large_records_are_bound_by_bytes() -> None:
    pin = replace(FACTS.measured["pin_bytes"], value=5_000)
    large = needs(20_000, replace(FACTS, measured={**FACTS.measured, "pin_bytes": pin}))
    assert large["Kinesis stream"].amount == 167  # 100 MB/s / 1 MB/s / 0.6
    assert large["Kinesis stream"].bound == FACTS.quota["shard_bytes"]


def test_more_days_in_s3_need_more_cores_for_the_batch_that_reads_them_all() -> None:
    assert needs(1_000, days=30)["Spark, batch"].amount == pytest.approx(
        30 * needs(1_000)["Spark, batch"].amount, rel=0.2
    )


def test_a_slow_emulator_sends_what_it_has_every_tenth_of_a_second() -> None:
    assert [model.requests_per_second(Load(posts)) for posts in (1, 10, 100, 5_000, 10_000)] == [6, 60, 60, 60, 120]


@pytest.mark.parametrize(
    ("megabytes", "count", "size"),
    [(18, 3, "large"), (500, 54, "large"), (600, 33, "xlarge"), (9_000, 60, "8xlarge"), (9_100, 42, "12xlarge")],
)
def test_brokers_come_in_threes_of_the_smallest_size_that_a_cluster_may_have(
    megabytes: int, count: int, size: str
) -> None:
    found, broker = model.brokers(megabytes * 1e6, FACTS)
    assert (found, broker.name) == (count, f"express.m7g.{size}")


@pytest.mark.parametrize(("cores", "workers"), [(1, (1, 1)), (3, (1, 4)), (8, (1, 8)), (9, (2, 8))])
def test_workers_have_one_two_four_or_eight_mcus(cores: int, workers: tuple[int, int]) -> None:
    assert model.workers(cores, FACTS) == workers


@given(st.floats(0.001, 10_000_000), st.integers(1, 500), st.floats(1, 86_400), st.integers(0, 10_000))
def test_every_need_is_within_its_quota_or_says_what_to_ask_for(
    posts: float, records: int, seconds: float, shards: int
) -> None:
    found = plan(Load(posts, records, seconds), replace(NOW, shards=shards), FACTS)
    for need in found.needs:
        assert need.load <= need.bound.value * need.amount * (1 + 1e-9) or need.excess, need
    carried = {need.hop: need for need in found.needs}["a request"].load * max(model.record_bytes(FACTS))
    assert carried <= min(FACTS.quota["request_bytes"].value, FACTS.quota["put_records_bytes"].value)


@given(st.floats(0.001, 10_000_000), st.floats(1, 100), st.integers(1, 500))
def test_needs_grow_with_the_rate(posts: float, times: float, records: int) -> None:
    less, more = (plan(Load(rate, records), NOW, FACTS) for rate in (posts, min(posts * times, 10_000_000.0)))
    for before, after in zip(less.needs, more.needs, strict=True):
        if before.hop not in ("MSK", "S3"):  # fewer brokers if they are larger ones; fewer, larger parts
            assert before.amount <= after.amount, before.hop
    assert less.dollars <= more.dollars * 1.001


@given(st.floats(1, 1_000_000), st.integers(1, 500))
def test_what_holds_now_is_where_the_present_setting_is_used_up(posts: float, records: int) -> None:
    found = {need.hop: need for need in plan(Load(posts, records), NOW, FACTS).needs}
    at = Load(found["API Gateway"].holds or 0, records)
    assert model.requests_per_second(at) == pytest.approx(NOW.throttling_rate, rel=1e-6)
    at = Load(found["REST proxy"].holds or 0, records)
    assert model.proxy_cores(at, FACTS) == pytest.approx(2, rel=1e-6)


def changed(found: Plan) -> dict[str, tuple[str, str]]:
    return {change.key: (change.now, change.needed) for change in found.changes}


def test_the_settings_to_change_are_named_with_their_files() -> None:
    found = plan(Load(20_000), NOW, FACTS)
    assert changed(found) | {
        "ThrottlingRate, Default": ("100", "400"),
        "ThrottlingBurst, Default": ("200", "800"),
        "kafka.partitions": ("1", "9"),
        "tasks.max": ("3", "27"),
        "rotate.schedule.interval.ms": ("2,000", "60,000"),
        "flush.size": ("2,000", "230,000"),
        "mcuCount × workerCount": ("1", "32"),
        "kinesis.shards": ("null: on demand, 4 at first", "34"),
    } == changed(found)
    for change in found.changes:
        if re.fullmatch(r"[a-z/-]+\.(json|yaml|py)", change.where):
            text = (ROOT / change.where).read_text(encoding="utf-8")
            assert all(word in text for word in re.findall(r"[A-Za-z]+[\w.]+\w", change.key.split(",")[0])), change


def test_settings_that_suffice_are_not_changed() -> None:
    few = changed(plan(Load(1, s3_seconds=2), NOW, FACTS))
    assert set(few) == {"brokers", "write()"}  # of which nothing is known
    wide = replace(NOW, shards=40, partitions=12, tasks=36)
    assert not {"kinesis.shards", "kafka.partitions", "tasks.max"} & set(changed(plan(Load(20_000), wide, FACTS)))


@pytest.mark.parametrize(("times", "most"), [(1, 0.001), (10, 0.07), (100, 0.001)])
def test_the_model_is_held_against_this_machines_batch_at_1_10_and_100_times(times: int, most: float) -> None:
    measured = FACTS.measured[f"batch_{times}_seconds"].value
    records = FACTS.measured[f"batch_{times}_records"].value
    modelled = model.batch_seconds(records, FACTS.measured["cores"].value, FACTS)
    assert modelled == pytest.approx(measured, rel=most)
    row = f"| {times}× | {records:,.0f} | {measured} s | {modelled:.1f} s | {modelled / measured - 1:+.0%} |"
    assert row in PAGE


@pytest.mark.parametrize("name", [name for name, fact in ALL.items() if fact.quote])
def test_a_measurement_is_the_one_of_the_benchmarks(name: str) -> None:
    assert ALL[name].quote in BENCH


def test_a_record_has_the_bytes_of_the_generated_rows() -> None:
    for name, posts in rows().items():
        sizes = [len(encode(dict(zip(TABLES[name].columns, row, strict=True)))) for row in posts]
        assert round(sum(sizes) / len(sizes)) == FACTS.measured[f"{name}_bytes"].value


@pytest.mark.parametrize("name", ALL)
def test_every_number_has_a_source(name: str) -> None:
    fact: Fact = ALL[name]
    assert fact.source.startswith("https://") or not name.startswith(("quota", "price"))
    assert fact.source
    assert fact.unit
    assert fact.confirmed or fact.note


def test_the_connector_is_made_with_the_mcus_of_the_model() -> None:
    text = (ROOT / "pinflow" / "deploy" / "connector.py").read_text(encoding="utf-8")
    assert '"provisionedCapacity": {"mcuCount": 1, "workerCount": 1}' in text
    assert FACTS.present["mcus"].value == 1


@pytest.mark.parametrize("rate", ["0", "-1", "abc", "", "nan", "inf", "1e12", "10000001"])
def test_a_rate_that_is_none_is_refused_with_what_is_expected(rate: str) -> None:
    result = run("--posts-per-second", rate)
    assert result.exit_code == 2
    assert "not a number above 0 and at most 10,000,000" in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "Missing option '--posts-per-second'"),
        (["--posts-per-second", "1", "--records-per-request", "501"], "501 is not in the range 1<=x<=500"),
        (["--posts-per-second", "1", "--days", "0"], "not a number above 0"),
        (["--posts-per-second", "1", "--price", "mcu"], "'mcu' is not NAME=DOLLARS"),
        (["--posts-per-second", "1", "--price", "mcu=-1"], "expected dollars from 0"),
    ],
)
def test_wrong_options_are_refused(arguments: list[str], expected: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert expected in result.output


def test_an_unknown_price_and_a_batch_that_cannot_end_are_errors_with_a_fix() -> None:
    assert "prices are" in str(run("--posts-per-second", "1", "--price", "beer=1").exception)
    assert "--batch-hours" in str(run("--posts-per-second", "1", "--batch-hours", "0.001").exception)


def test_your_price_is_used_and_no_longer_doubtful() -> None:
    before, after = run("--posts-per-second", "20000"), run("--posts-per-second", "20000", "--price", "mcu=1")
    assert ("3.52" in before.output, "32.00" in after.output) == (True, True)
    doubtful = re.search(r"prices to be checked: (.*);", after.output)
    assert doubtful is not None
    assert "mcu" not in doubtful[1]


def test_all_numbers_are_printed_with_source_and_date() -> None:
    output = run("--facts").output
    assert all(fact.source in output for fact in ALL.values())
    assert "2026-11-30" in output


def test_the_page_shows_what_the_command_prints() -> None:
    printed = [line.strip() for line in run("--posts-per-second", "20000").output.splitlines()]
    (shown,) = re.findall(r"    bin/pinflow size --posts-per-second 20000\n\n```\n(.*?)```", PAGE, re.DOTALL)
    assert [line.strip() for line in shown.splitlines() if line.strip()] == [line for line in printed if line], (
        "paste the output of the command into docs/scale.md"
    )


def test_the_example_profile_of_aws_is_sized_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PINTEREST_DB_PASSWORD", "x")
    result = CliRunner().invoke(cli, ["--profile", "aws.example", "size", "--posts-per-second", "100"])
    assert result.exit_code == 0, result.output


def test_a_table_whose_records_were_not_measured_is_an_error_with_a_fix() -> None:
    measured = {name: fact for name, fact in FACTS.measured.items() if name != "geo_bytes"}
    with pytest.raises(PinflowError) as raised:
        plan(Load(1), NOW, replace(FACTS, measured=measured))
    assert "[measured.geo_bytes]" in raised.value.fix
