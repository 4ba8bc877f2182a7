"""initialPosition, in all its forms."""

from __future__ import annotations

import json
from datetime import datetime

import pytest

from pyspark_kinesis.initial import Initial


def at(text: str, form: str | None = None) -> str:
    document = {"at_timestamp": text} | ({"format": form} if form else {})
    initial = Initial.parse(json.dumps(document))
    assert initial.kind == "at_timestamp"
    return datetime.utcfromtimestamp(initial.time / 1000).isoformat(timespec="milliseconds")


@pytest.mark.parametrize("text", ["trim_horizon", "earliest", "EARLIEST", "TRIM_HORIZON"])
def test_the_beginning_has_two_names(text: str) -> None:
    assert Initial.parse(text) == Initial("trim_horizon")


def test_latest_is_the_moment_of_the_start() -> None:
    assert Initial.parse("latest").position(5).json() == {"type": "LATEST", "timestamp": 5}


@pytest.mark.parametrize(
    ("text", "form", "time"),
    [
        ("06/25/2020 10:23:45 PDT", None, "2020-06-25T17:23:45.000"),
        ("2020-06-25T10:23:45+02:00", None, "2020-06-25T08:23:45.000"),
        ("2020-06-25 10:23:45.5", None, "2020-06-25T10:23:45.500"),
        ("06/25/2020 10:23:45 PDT", "MM/dd/yyyy HH:mm:ss ZZZ", "2020-06-25T17:23:45.000"),
        ("2023/06/12 15:18:00 GMT", "yyyy/MM/dd HH:mm:ss ZZZ", "2023-06-12T15:18:00.000"),
        ("2023-06-12 15:18:00.123456", "yyyy-MM-dd HH:mm:ss.SSSSSS", "2023-06-12T15:18:00.123"),
        ("2023-06-12T15:18:00+0530", "yyyy-MM-dd'T'HH:mm:ssZ", "2023-06-12T09:48:00.000"),
        ("2023-06-12T15:18:00Z", "yyyy-MM-dd'T'HH:mm:ssX", "2023-06-12T15:18:00.000"),
        ("20230612151800", "yyyyMMddHHmmss", "2023-06-12T15:18:00.000"),
        ("12 Jun 2023 03:18 PM", "dd MMM yyyy hh:mm a", "2023-06-12T15:18:00.000"),
        ("Mon, 12 June 23", "EEE, d MMMM yy", "2023-06-12T00:00:00.000"),
    ],
)
def test_times_in_both_forms(text: str, form: str | None, time: str) -> None:
    assert at(text, form) == time


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ('{"at_timestamp": "25.6.2020"}', "is not a time in the form 'MM/dd/yyyy HH:mm:ss ZZZ'"),
        ('{"at_timestamp": "06/25/2020 10:23:45 XYZ"}', "unknown time zone XYZ"),
        ('{"at_timestamp": "13/25/2020 10:23:45 GMT"}', "month must be in 1..12"),
        ('{"at_timestamp": "1", "format": "Q"}', "Q is unknown"),
        ('{"timestamp": "1"}', "is none of latest"),
        ('{"at_timestamp": "1", "zone": "UTC"}', "is none of latest"),
        ("[]", "is none of latest"),
    ],
)
def test_what_cannot_be_read_is_said(document: str, words: str) -> None:
    with pytest.raises(ValueError) as error:
        Initial.parse(document)
    assert words in str(error.value)
