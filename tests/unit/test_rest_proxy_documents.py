"""JSON through the REST proxy's stand-in, as Jackson 2.21 on Java 17 read and wrote it in the same cases."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from services.rest_proxy import documents, doubles
from services.rest_proxy.batches import Record
from services.rest_proxy.errors import RestError
from services.rest_proxy.produce import records


def through(text: str) -> str:
    return documents.dump(documents.parse(text.encode())).decode()


def refused(body: bytes, embedded: Any = documents.embedded_json) -> int:
    """The status with which a produce request is refused."""
    with pytest.raises(RestError) as raised:
        records(documents.parse(body), embedded)
    return raised.value.status


@pytest.mark.parametrize("number", ["0.1", "-89.9787", "0", "-173.293", "12345678901234567890", "0.0", "-0.0", "0.001"])
def test_numbers_that_are_written_as_they_came(number: str) -> None:
    assert through(f"[{number}]") == f"[{number}]"


# Double.toString of Java 17 for each.
@pytest.mark.parametrize(
    ("number", "written"),
    [
        ("1e5", "100000.0"),
        ("1.10", "1.1"),
        ("1E+7", "1.0E7"),
        ("9999999.0", "9999999.0"),
        ("0.00099", "9.9E-4"),
        ("1e-7", "1.0E-7"),
        ("12345678901234567890.5", "1.2345678901234567E19"),
        ("5.684341886080802e-14", "5.6843418860808015E-14"),
        ("2.88e25", "2.88E25"),
        ("2.8800000000000003e25", "2.8800000000000002E25"),
        ("0.0060316401663827405", "0.0060316401663827405"),
        ("4.9e-324", "4.9E-324"),
        ("1.7976931348623157e308", "1.7976931348623157E308"),
        ("9223372036854775807.0", "9.223372036854776E18"),
        ("1e400", '"Infinity"'),
        ("-1e400", '"-Infinity"'),
    ],
)
def test_other_numbers_are_written_as_java_writes_doubles(number: str, written: str) -> None:
    assert through(f'{{"a" : [ {{"b": {number}}} , "{number}" ]}}') == f'{{"a":[{{"b":{written}}},"{number}"]}}'
    assert through(f'["\\ud800", {number}]') == f'["\\uD800",{written}]'


def test_python_and_java_write_the_numbers_alike_that_are_not_looked_at() -> None:
    for number in (1e-3, 0.1 + 0.2, 1 / 3, 123456.789, 9999999.999999998, 2.0**-9, 5e6):
        assert doubles.text(number) == repr(number)


def test_control_characters_quotes_and_what_is_beyond_the_bmp() -> None:
    text = json.dumps({'"': '\\ \n \t \b \f \r \x00 \x1f \x7f / " \\u001f é \u2028 😀'})
    assert (
        through(text)
        == '{"\\"":"\\\\ \\n \\t \\b \\f \\r \\u0000 \\u001F \x7f / \\" \\\\u001f é \u2028 \\uD83D\\uDE00"}'
    )


@pytest.mark.parametrize("text", ['"\\ud800"', '"\\ude00\\ud83d"', '["\\udfff", 1.00]'])
def test_half_a_surrogate_pair_is_written_as_an_escape(text: str) -> None:
    assert through(text) == text.upper().replace("\\U", "\\u").replace(" 1.00", "1.0")


@pytest.mark.parametrize("body", [b"{", b"", b"NaN", b"-Infinity", b"\xff", b'"\n"', b"01", b"1x", b"[1,]", b"\x00"])
def test_what_is_not_json_is_400(body: bytes) -> None:
    with pytest.raises(RestError) as raised:
        documents.parse(body)
    assert raised.value.status == 400


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_encodings_are_recognised(encoding: str) -> None:
    assert documents.parse('{"é": "😀"}'.encode(encoding)) == {"é": "😀"}


@pytest.mark.parametrize("rest", [" x", "}", "{", "[1]"])
def test_data_after_the_document_is_ignored(rest: str) -> None:
    assert documents.parse(b'{"a": 1}' + rest.encode()) == {"a": 1}


@pytest.mark.parametrize("opening", ["[", '{"a":'])
@pytest.mark.parametrize("innermost", ["1", "1.00", '"\\ud800"'])
def test_a_thousand_levels_are_read_and_no_more(opening: str, innermost: str) -> None:
    closing = "]" if opening == "[" else "}"

    def value(depth: int) -> bytes:
        return b'{"records":[{"value":' + f"{opening * depth}{innermost}{closing * depth}".encode() + b"}]}"

    written = records(documents.parse(value(997)), documents.embedded_json)[0].value
    assert written is not None and written.count(opening[:1].encode()) == 997
    for depth in (998, sys.getrecursionlimit() + 50, 100_000):
        assert refused(value(depth)) == 400


@pytest.mark.parametrize("sign", ["", "-"])
@pytest.mark.parametrize(("before", "after"), [("9", ""), ("0.9", "1"), ("9", "e-1")])
def test_numbers_have_a_thousand_digits_at_most(sign: str, before: str, after: str) -> None:
    known = sum(map(str.isdigit, before + after))
    for digits, fits in ((1000, True), (1001, False), (100_000, False)):
        body = f'{{"records":[{{"value":{sign}{before}{"9" * (digits - known)}{after}}}]}}'.encode()
        assert fits or refused(body) == 400
        assert not fits or records(documents.parse(body), documents.embedded_json)


def test_names_have_50000_letters_at_most_and_texts_twenty_million() -> None:
    for text, fits in (
        (f'{{"{"k" * 50_000}":1}}', True),
        (f'[{{"{"k" * 50_001}":1}}]', False),
        (f'"{"x" * 20_000_000}"', True),
        (f'{{"a":"{"x" * 20_000_001}"}}', False),
    ):
        body = f'{{"records":[{{"value":{text}}}]}}'.encode()
        assert fits or refused(body) == 400
        assert not fits or records(documents.parse(body), documents.embedded_json)[0].value == text.encode()


def test_json_null_is_kafkas_null_and_the_text_null_is_not() -> None:
    assert documents.embedded_json(None) is None
    assert documents.embedded_json("null") == b'"null"'


@pytest.mark.parametrize("value", ["a", "a===", "äöü=", "YQ==\n", "Y Q==", "YQ=a", 1, 1e7, {}, []])
def test_binary_values_must_be_base64(value: object) -> None:
    with pytest.raises(RestError, match=r"^Bad Request: data=.* is not a (valid )?base64 string.$") as raised:
        documents.embedded_binary(value)
    assert raised.value.status == 400


@pytest.mark.parametrize("value", ["YQ==", "YQ", "YQ=", "YQ===", "YR=="])
def test_base64_needs_no_padding(value: str) -> None:
    assert documents.embedded_binary(value) == b"a"


def test_records_of_a_request() -> None:
    document = {"records": [{"value": 1}, {"key": "k", "partition": 2}], "value_schema": None}
    assert records(document, documents.embedded_json) == [Record(None, b"1", None), Record(b'"k"', None, 2)]
    assert records(document, documents.embedded_json, 7) == [Record(None, b"1", 7), Record(b'"k"', None, 2)]


@pytest.mark.parametrize(
    ("given", "partition"),
    [
        ('"0"', 0),
        ("0.0", 0),
        ("0.7", 0),
        ("-0.7", 0),
        ("1e1", 10),
        ("1e-5", 0),
        ('""', None),
        ('" "', None),
        ('"null"', None),
        ("null", None),
        ('"+1"', 1),
        ('" 1 "', 1),
        ('"1\\u0000"', 1),
        ('"\\u0661"', 1),
        ('"0000000000001"', 1),
        ("2147483647", 2147483647),
        ('"-1"', -1),
        *((text, 400) for text in ("2147483648", "2147483647.5", "99999999999", '"99999999999"', "1e10", "1e400")),
        *(
            (text, 400)
            for text in (
                '"1.5"',
                '"1e1"',
                '"1_0"',
                '"0x1"',
                '"+-1"',
                '"-"',
                '"\\u00a01"',
                f'"{"9" * 5000}"',
                "true",
                "[0]",
                "{}",
            )
        ),
    ],
)
def test_partitions_are_coerced(given: str, partition: int | None) -> None:
    body = f'{{"records":[{{"value":1,"partition":{given}}}]}}'.encode()
    if partition == 400:
        assert refused(body) == 400
    else:
        assert records(documents.parse(body), documents.embedded_json) == [Record(None, b"1", partition)]


@pytest.mark.parametrize(
    ("name", "value", "fits"),
    [("key_schema", "1.50", True), ("key_schema", "[]", False), ("value_schema_id", "true", False)],
)
def test_fields_for_schemas_are_bound_too(name: str, value: str, fits: bool) -> None:
    body = f'{{"records":[{{"value":1}}],"{name}":{value}}}'.encode()
    assert fits or refused(body) == 400
    assert not fits or records(documents.parse(body), documents.embedded_json)
