"""Which connector configurations the sink takes, and what it says of the others."""

from __future__ import annotations

import datetime
import zoneinfo

import pytest

from foundation import environment
from foundation.profile import load
from services.connect import connector, watch
from services.connect.config import SinkConfig, next_rotation, parse
from services.connect.errors import ConfigError
from services.connect.options import OPTIONS, STORAGE, Support, names

WORKER = environment.properties(environment.read("connect"), "CONNECT_")
CONFIG = {**connector.render(load("local")), "name": "sink"}


def parsed(**changes: str | None) -> SinkConfig:
    """The project's own connector JSON with changes: `flush__size="1"`; None takes an option out."""
    config: dict[str, str | None] = {**CONFIG, **{name.replace("__", "."): value for name, value in changes.items()}}
    return parse({name: value for name, value in config.items() if value is not None}, WORKER)


def refusal(**changes: str | None) -> str:
    with pytest.raises(ConfigError) as error:
        parsed(**changes)
    return error.value.what


def test_the_projects_own_connector_is_accepted() -> None:
    config = parsed()
    assert (config.flush_size, config.rotate_seconds, config.tasks_max) == (2000, 2.0, 3)
    assert config.bucket == load("local").storage.bucket
    assert config.group == "connect-sink"
    assert config.zone == datetime.UTC


def test_the_regex_matches_whole_names_only_and_not_the_dead_letter_topic() -> None:
    uid = load("local").uid
    config = parsed()
    assert config.reads(f"{uid}.pin")
    assert not config.reads(f"x{uid}.pin")
    assert not config.reads(str(config.dead_letter_topic))


def test_topics_by_name() -> None:
    config = parsed(topics__regex=None, topics="a, b")
    assert config.reads("a")
    assert config.reads("b")
    assert not config.reads("ab")


@pytest.mark.parametrize("option", names(Support.REFUSED))
def test_every_refused_option_is_refused_by_name(option: str) -> None:
    assert f'Option "{option}" of the Confluent S3 sink is refused' in refusal(**{option: "x"})


@pytest.mark.parametrize("option", names(Support.IGNORED))
def test_every_ignored_option_is_accepted_with_a_reason_why_it_has_no_effect(option: str) -> None:
    value = OPTIONS[option].default or {"BOOLEAN": "true", "INT": "1", "LONG": "1"}.get(OPTIONS[option].kind, "x")
    parsed(**{option: value})
    assert OPTIONS[option].why


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("value.converter", "io.confluent.connect.avro.AvroConverter"),
        ("value.converter.schemas.enable", "true"),
        ("format.class", "io.confluent.connect.s3.format.parquet.ParquetFormat"),
        ("partitioner.class", "io.confluent.connect.storage.partitioner.DailyPartitioner"),
        ("behavior.on.null.values", "write"),
        ("s3.compression.type", "gzip"),
        ("transforms", "unwrap"),
        ("errors.tolerance", "some"),
        ("errors.tolerance", "ALL"),
        ("config.action.reload", "x"),
        ("timezone", "Mars/X"),
        ("timezone", "+99:00"),
        ("errors.deadletterqueue.topic.replication.factor", "40000"),
        ("flush.size", "3000000000"),
        ("tasks.max", "0"),
        ("store.kafka.keys", "true"),
        ("consumer.override.auto.offset.reset", "latest"),
    ],
)
def test_a_value_that_is_not_implemented_is_refused(option: str, value: str) -> None:
    assert f"Invalid value {value} for configuration {option}" in refusal(**{option: value})


def test_a_converter_named_without_schemas_enable_has_schemas_as_in_the_real_worker() -> None:
    assert "value.converter.schemas.enable" in refusal(value__converter__schemas__enable=None)


def test_the_workers_converter_counts_where_the_connector_names_none() -> None:
    parsed(value__converter=None, value__converter__schemas__enable=None)


def test_topics_and_regex_exclude_each_other_and_one_is_needed() -> None:
    assert "mutually exclusive" in refusal(topics="a")
    assert "Must configure one of topics or topics.regex" in refusal(topics__regex=None)


def test_the_dead_letter_topic_may_not_be_read_itself() -> None:
    assert "may not be matched by the regex" in refusal(topics__regex=".*")
    dead = CONFIG["errors.deadletterqueue.topic.name"]
    assert "may not be included in the list of topics" in refusal(topics__regex=None, topics=f"a,{dead}")


def test_scheduled_rotation_without_a_timezone_is_accepted_and_cannot_start() -> None:
    assert "timezone configuration must be set" in str(parsed(timezone=None).failure)
    without = parsed(timezone=None, rotate__schedule__interval__ms=None)
    assert (without.failure, without.zone) == (None, None)


@pytest.mark.parametrize(("zone", "hours"), [("UTC", 0), ("+02:00", 2), ("-3", -3), ("Asia/Kolkata", 5.5)])
def test_a_timezone_is_an_id_or_an_offset(zone: str, hours: float) -> None:
    now = datetime.datetime(2026, 11, 21, tzinfo=datetime.UTC)
    assert now.astimezone(parsed(timezone=zone).zone).utcoffset() == datetime.timedelta(hours=hours)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("topics.regex", "(", "unterminated subpattern"),
        ("s3.region", " ", "region must not be blank"),
        ("consumer.override.max.poll.records", "x", "Invalid value x for configuration max.poll.records"),
    ],
)
def test_what_breaks_the_real_workers_validation_is_a_500(option: str, value: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        parsed(**{option: value})
    assert error.value.status == 500


def test_the_validators_error_for_what_is_no_number_counts_too() -> None:
    assert "contains the following 2 error(s)" in refusal(tasks__max="x")
    assert "contains the following 1 error(s)" in refusal(flush__size="x")


def test_the_options_are_those_of_the_real_definition() -> None:
    """101 of them, as the real one counts them for this project's connector."""
    assert len([option for option in OPTIONS.values() if not option.listed_if_set or option.name in CONFIG]) == 101
    assert len(STORAGE) == 68


def test_the_secret_key_is_not_shown() -> None:
    assert "hush" not in repr(parsed(aws__secret__access__key="hush"))


@pytest.mark.parametrize(
    ("now", "interval", "expected"),
    [
        ("2026-11-21T10:00:00.5", 2, "2026-11-21T10:00:02"),
        ("2026-11-21T10:00:02", 2, "2026-11-21T10:00:04"),
        ("2026-11-21T10:07:00", 600, "2026-11-21T10:10:00"),
        ("2026-11-21T23:59:59", 7, "2026-11-22T00:00:01"),
        ("2026-11-21T10:00:00", 7 * 3600, "2026-11-21T14:00:00"),
    ],
)
def test_rotation_lies_on_the_wall_clock_since_midnight(now: str, interval: float, expected: str) -> None:
    utc = datetime.UTC
    rotation = next_rotation(datetime.datetime.fromisoformat(now).replace(tzinfo=utc), interval)
    assert rotation == datetime.datetime.fromisoformat(expected).replace(tzinfo=utc).timestamp()


def test_midnight_is_that_of_the_timezone() -> None:
    zone = zoneinfo.ZoneInfo("Asia/Kolkata")  # half an hour off: hourly rotations differ from those of UTC
    now = datetime.datetime(2026, 11, 21, 10, 10, tzinfo=datetime.UTC).astimezone(zone)
    assert next_rotation(now, 3600) == datetime.datetime(2026, 11, 21, 10, 30, tzinfo=datetime.UTC).timestamp()


@pytest.mark.parametrize("fold", [0, 1])
@pytest.mark.parametrize("minute", [0, 30])
def test_rotation_is_in_the_future_also_in_the_hour_that_repeats(minute: int, fold: int) -> None:
    zone = zoneinfo.ZoneInfo("Europe/Berlin")
    now = datetime.datetime(2026, 10, 25, 2, minute, tzinfo=zone, fold=fold)
    assert next_rotation(now, 2) - now.timestamp() == 2


def test_rotation_across_the_skipped_hour() -> None:
    now = datetime.datetime(2026, 3, 29, 1, 59, 59, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin"))
    assert next_rotation(now, 2) - now.timestamp() == 1


def test_the_longest_valid_interval_means_never() -> None:
    interval = parsed(rotate__schedule__interval__ms=str(2**63 - 1)).rotate_seconds
    assert interval is not None
    now = datetime.datetime(2026, 11, 21, tzinfo=datetime.UTC)
    assert next_rotation(now, interval) - now.timestamp() > 1e15


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "String may not be empty"),
        ("a\n\x9fb\x00", "String may not contain control sequences but had the following ASCII chars: 10, 159, 0"),
        ("\t", "String may not contain control sequences but had the following ASCII chars: 9"),
    ],
)
def test_a_name_that_kafka_connect_does_not_accept_is_refused(name: str, problem: str) -> None:
    assert f"Invalid value {name} for configuration name: {problem}" in refusal(name=name)


@pytest.mark.parametrize("name", ["..", "a/b", "süß 日本", " a", "...", "100%"])
def test_other_names_stay_as_they_are(name: str) -> None:
    assert parsed(name=name).group == f"connect-{name}"


def test_on_aws_itself_there_is_no_store_url() -> None:
    profile = load("local")
    on_aws = profile.model_copy(update={"aws": profile.aws.model_copy(update={"endpoint_url": None})})
    assert "store.url" not in connector.render(on_aws)
    assert connector.render(profile, "http://localstack:4566")["store.url"] == "http://localstack:4566"


def test_compose_creates_the_same_connector_with_the_address_of_the_container(monkeypatch: pytest.MonkeyPatch) -> None:
    local = load("local")
    values = {"uid": local.uid, "bucket": local.storage.bucket, "region": local.aws.region}
    for name, value in (values | {"store_url": "http://localstack:4566"}).items():
        monkeypatch.setenv(name, value)
    assert watch.configuration() == connector.render(local, "http://localstack:4566")
