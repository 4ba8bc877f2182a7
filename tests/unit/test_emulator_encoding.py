"""Rows as JSON."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from emulator.encoding import encode


def test_columns_keep_their_order_and_the_json_is_compact() -> None:
    assert encode({"index": 1, "unique_id": "b", "age": None}) == b'{"index":1,"unique_id":"b","age":null}'


@pytest.mark.parametrize(
    "text", ["🎉 Ёлка שלום 𝔐 …\u00a0", 'comma, "quote", it\'s | \\', "line\nend\n", "\u2028\u0000\t", ""]
)
def test_text_is_unicode_and_comes_back_to_the_letter(text: str) -> None:
    assert json.loads(encode({"title": text}).decode("utf-8")) == {"title": text}


def test_unicode_is_not_escaped() -> None:
    assert "🎉 Ёлка".encode() in encode({"title": "🎉 Ёлка"})


def test_a_lone_surrogate_is_escaped_because_utf8_cannot_hold_it() -> None:
    encoded = encode({"title": "a\ud800b"})
    assert encoded == b'{"title":"a\\ud800b"}'
    encoded.decode("utf-8")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (datetime(2018, 3, 4, 5, 6, 7), "2018-03-04T05:06:07"),
        (datetime(2018, 3, 4), "2018-03-04T00:00:00"),
        (datetime(2018, 3, 4, 5, 6, 7, 999_999), "2018-03-04T05:06:07"),
        (datetime(2018, 3, 4, 5, 6, 7, tzinfo=UTC), "2018-03-04T05:06:07"),
        (datetime(2018, 3, 4, 5, 6, 7, tzinfo=timezone(timedelta(hours=2))), "2018-03-04T03:06:07"),
        (date(2018, 3, 4), "2018-03-04T00:00:00"),
    ],
)
def test_date_times_are_iso_to_the_second_in_utc(value: date, text: str) -> None:
    assert json.loads(encode({"timestamp": value})) == {"timestamp": text}


def test_numbers_go_out_as_the_database_gives_them() -> None:
    row = {"ind": 7, "latitude": -88.5252, "longitude": 179.934, "big": 2**63, "exact": Decimal("1.50")}
    assert encode(row) == b'{"ind":7,"latitude":-88.5252,"longitude":179.934,"big":9223372036854775808,"exact":1.5}'


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), timedelta(1)])
def test_what_json_does_not_have_is_an_error(value: Any) -> None:
    with pytest.raises(ValueError):
        encode({"latitude": value})
