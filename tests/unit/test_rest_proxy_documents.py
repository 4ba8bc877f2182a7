"""JSON through the REST proxy's stand-in: compact, and nothing else changed."""

from __future__ import annotations

import json
import sys

import pytest

from services.rest_proxy import documents
from services.rest_proxy.errors import RestError
from services.rest_proxy.produce import Record, records


def through(text: str) -> str:
    return documents.dump(documents.parse(text.encode())).decode()


@pytest.mark.parametrize("number", ["0.1", "-89.9787", "1e+16", "0", "-173.293", "12345678901234567890", "1e-07"])
def test_numbers_that_python_writes_alike(number: str) -> None:
    assert through(f"[{number}]") == f"[{number}]"


@pytest.mark.parametrize("number", ["0.1000", "1E5", "1e400", "-1e400", "0.30000000000000000000001", "1.0e1"])
def test_numbers_keep_their_text_however_deep_they_are(number: str) -> None:
    assert through(f'{{"a" : [ {{"b": {number}}} , "{number}" ]}}') == f'{{"a":[{{"b":{number}}},"{number}"]}}'


def test_control_characters_and_quotes_stay_escaped() -> None:
    text = json.dumps({'"': '\\ \n \t \x00 / "'})
    assert json.loads(through(text)) == json.loads(text)


@pytest.mark.parametrize(
    "body", [b"{", b"", b"NaN", b"-Infinity", b"\xff", b'"\n"', b"{} {}", b"\xef\xbb\xbf{}", b"01"]
)
def test_what_is_not_json_is_400(body: bytes) -> None:
    with pytest.raises(RestError) as raised:
        documents.parse(body)
    assert raised.value.status == 400


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_nesting_beyond_reason_is_400_and_not_the_end_of_the_process(opening: str) -> None:
    depth = 100_000
    closing = "]" if opening == "[" else "}"
    with pytest.raises(RestError) as raised:
        through(opening * depth + "1" + closing * depth)
    assert raised.value.status == 400


@pytest.mark.parametrize("innermost", ["1", "1.00"])
def test_nesting_near_the_interpreters_limit_is_an_answer_either_way(innermost: str) -> None:
    for depth in range(sys.getrecursionlimit() // 3, sys.getrecursionlimit() + 50, 23):
        text = "[" * depth + innermost + "]" * depth
        try:
            assert through(text) == text
        except RestError as error:
            assert error.status == 400


def test_an_integer_with_more_digits_than_python_reads_is_400() -> None:
    with pytest.raises(RestError) as raised:
        documents.parse(b"9" * 100_000)
    assert raised.value.status == 400


@pytest.mark.parametrize("text", ['"\\ud800"', '{"\\udc00":1}', '["\\ud800", 1.00]'])
def test_half_a_surrogate_pair_is_422(text: str) -> None:
    with pytest.raises(RestError) as raised:
        through(text)
    assert (raised.value.status, raised.value.code) == (422, 42203)


def test_json_null_is_kafkas_null_and_the_text_null_is_not() -> None:
    assert documents.embedded_json(None) is None
    assert documents.embedded_json("null") == b'"null"'


@pytest.mark.parametrize("value", ["a", "a===", "äöü=", 1, {}, [], "YQ==\n"])
def test_binary_values_must_be_base64(value: object) -> None:
    with pytest.raises(RestError) as raised:
        documents.embedded_binary(value)
    assert raised.value.status == 422


def test_records_of_a_request() -> None:
    document = {"records": [{"value": 1}, {"key": "k", "partition": 2}], "value_schema": None}
    assert records(document, documents.embedded_json) == [Record(None, b"1", None), Record(b'"k"', None, 2)]
