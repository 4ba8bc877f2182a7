"""Options as the user writes them."""

from __future__ import annotations

import pytest

from pyspark_kinesis import DefaultSource
from pyspark_kinesis.errors import KinesisError
from pyspark_kinesis.options import FAN_OUT, UNITY_CATALOG, WITHOUT_EFFECT, Options

ARN = "arn:aws:kinesis:eu-west-1:123456789012:stream/posts"


def parse(**options: str) -> Options:
    return Options.parse({"streamName": "s"} | options)


def test_defaults_are_those_of_databricks() -> None:
    """But for two: see options.py."""
    options = parse()
    assert (options.max_fetch_rate, options.min_fetch_period, options.max_fetch_duration) == (1e6, 0.4, 10.0)
    assert (options.shard_fetch_interval, options.shards_per_task, options.max_shards_per_describe) == (1.0, 5, 100)
    assert options.initial is None and options.fail_on_data_loss and options.region is None


def test_names_have_no_case() -> None:
    assert Options.parse({"STREAMNAME": "s", "awsaccesskey": "a", "AWSSecretKey": "b"}).access_key == "a"


def test_a_list_of_streams() -> None:
    assert [stream.key for stream in parse(streamName="a, b ,c").streams] == ["a", "b", "c"]


def test_an_arn_is_the_address_and_its_name_is_in_the_rows() -> None:
    (stream,) = Options.parse({"streamARN": ARN}).streams
    assert (stream.name, stream.address) == ("posts", {"StreamARN": ARN})


def test_durations_sizes_and_rates() -> None:
    options = parse(minFetchPeriod="1500 ms", shardFetchInterval="2m", fetchBufferSize="10mb", maxFetchRate="2.0")
    assert (options.min_fetch_period, options.shard_fetch_interval) == (1.5, 120.0)
    assert (options.fetch_buffer_size, options.max_fetch_rate) == (10 * 1024**2, 2e6)
    assert parse(shardFetchInterval="3 seconds").shard_fetch_interval == 3.0


def test_an_endpoint_may_have_no_scheme() -> None:
    assert parse(endpoint="kinesis.us-east-1.amazonaws.com").endpoint == "https://kinesis.us-east-1.amazonaws.com"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"streamNam": "x"}, "no option streamnam\n  did you mean streamName"),
        ({"zzz": "x"}, "no option zzz\n  it has awsAccessKey"),
        ({"consumerMode": "efo"}, "consumerMode efo is not supported"),
        *(({name: "x"}, f"{name} belongs to consumerMode efo") for name in FAN_OUT),
        *(({name: "x"}, f"{name} is a credential of Unity Catalog") for name in UNITY_CATALOG),
        ({"streamARN": ARN}, "streamName or streamARN, and not both"),
        ({"streamName": " , "}, "names no stream"),
        ({"streamName": "a,a"}, "names a stream twice"),
        ({"awsAccessKey": "a"}, "awsAccessKey and awsSecretKey belong together"),
        ({"maxPartitions": "1", "shardsPerTask": "1"}, "exclude each other"),
        ({"initialPosition": "newest"}, "option initialPosition: 'newest' is none of latest"),
        ({"maxRecordsPerFetch": "10001"}, "from 1 to 10000"),
        ({"maxFetchRate": "2.1"}, "up to 2.0"),
        ({"minFetchPeriod": "100ms"}, "less than 200ms"),
        ({"minFetchPeriod": "soon"}, "not a duration"),
        ({"fetchBufferSize": "0"}, "not a size"),
        ({"failOnDataLoss": "no"}, "neither true nor false"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, str], words: str) -> None:
    with pytest.raises(KinesisError) as error:
        parse(**options)
    assert words in str(error.value)


def test_a_wrong_arn_is_shown_how() -> None:
    with pytest.raises(KinesisError, match="option streamARN: posts is not like arn:aws:kinesis"):
        Options.parse({"streamARN": "posts"})


def test_what_has_nothing_to_do_here_is_taken() -> None:
    assert parse(**dict.fromkeys(WITHOUT_EFFECT, "1"), consumerMode="polling") == parse()


def test_no_key_is_shown() -> None:
    keys = {"awsAccessKey": "secret-1", "awsSecretKey": "secret-2", "awsSessionToken": "secret-3"}
    source = DefaultSource({"streamName": "s", "roleExternalId": "secret-4"} | keys)
    assert "secret" not in repr(vars(source)) and "secret" not in repr(source.settings)
    with pytest.raises(KinesisError) as error:
        parse(**keys, awsSecretKeys="secret-5")
    assert "secret-" not in str(error.value)


def test_tasks_take_so_many_shards_each() -> None:
    assert [parse().tasks(shards) for shards in (0, 1, 5, 6, 12)] == [1, 1, 1, 2, 3]
    assert parse(maxPartitions="4").tasks(12) == 4
    assert parse(maxPartitions="4").tasks(2) == 2
