"""JSON as the real proxy's library, Jackson, reads and writes it.

Keys keep their order, and the last value of a repeated key counts. Integers keep every digit; any other number becomes
a double and is written as Java writes one (1.10 as 1.1, 1e400 as the text "Infinity"). Data after the document is
ignored. The limits are those of Jackson's StreamReadConstraints.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import sys
from typing import Any

import msgspec

from services.rest_proxy import doubles
from services.rest_proxy.errors import RestError, malformed

MAX_DEPTH = 1_000
MAX_NUMBER = 1_000
MAX_NAME = 50_000
MAX_TEXT = 20_000_000

_FIRST_TOO_LONG = 10**MAX_NUMBER

# The request, its list of records, the record.
_DEPTH_OF_A_VALUE = 3

# The interpreter's own limit of 1,000 calls would be reached before Jackson's 1,000 levels.
sys.setrecursionlimit(max(sys.getrecursionlimit(), 5 * MAX_DEPTH))

_content = re.compile(r"[^ \t\n\r]").search
_beyond_bmp_or_control = re.compile(rb"[\xf0-\xf4]|\\u00").search
_written_otherwise = re.compile(r"\\u00[01][0-9a-f]|\\.|[\ud800-\udfff\U00010000-\U0010ffff]")


class Number:
    """A number that Java and Python write differently: 1e7 (1.0E7), 1e400 ("Infinity")."""

    __slots__ = ("text", "value")

    def __init__(self, value: float) -> None:
        self.value = value
        text = doubles.text(value)
        self.text = text if text[-1].isdigit() else f'"{text}"'


def parse(body: bytes) -> Any:
    """The JSON document at the start of a body, in UTF-8, UTF-16 or UTF-32; raises 400 if there is none."""
    try:
        return _quick.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _parse_anything(body)


def dump(value: Any) -> bytes:
    """A value of a parsed document as compact JSON; characters beyond U+FFFF and half characters are escaped."""
    try:
        data = _quick_encoder.encode(value)
        if (data.isascii() and b"\\u00" not in data) or not _beyond_bmp_or_control(data):
            return data
        text = data.decode()
    except UnicodeEncodeError:  # half a character
        text = _text(value)
    return _written_otherwise.sub(_as_jackson, text).encode()


def embedded_json(value: Any) -> bytes | None:
    """A key or value of the format json as it is written to Kafka; JSON's null is Kafka's null.

    Raises 400 for one that is nested too deeply, or holds a name or a text that is too long.
    """
    return None if value is None else limited(value, _DEPTH_OF_A_VALUE)


def limited(value: Any, depth: int) -> bytes:
    """A value, read at this depth, as compact JSON; raises 400 over Jackson's limits."""
    try:
        data = dump(value)
    except RecursionError:
        raise _too_deep() from None
    if len(data) > MAX_NUMBER:
        _check_limits(value, depth)
    return data


def embedded_binary(value: Any) -> bytes | None:
    """A key or value of the format binary: base64, with or without padding; raises 400 for anything else."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise _bad_request(value, "base64 string")
    text = value.rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (ValueError, binascii.Error):
        raise _bad_request(value, "valid base64 string") from None


def _begin(text: str, start: int) -> int:
    """The position of the next character that is not blank; the end if there is none."""
    match = _content(text, start)
    return match.start() if match else len(text)


def _number(text: str) -> float | Number:
    if len(text) > MAX_NUMBER:
        _check_length(sum(map(str.isdigit, text)))
    value = float(text)
    # Here both write the shortest text and no exponent.
    return value if 1e-3 <= abs(value) < 1e7 or value == 0 else Number(value)


def _integer(text: str) -> int:
    if len(text) > MAX_NUMBER:
        _check_length(len(text.lstrip("-")))
    return int(text)


def _check_length(digits: int) -> None:
    if digits > MAX_NUMBER:
        raise ValueError(f"Number value length ({digits}) exceeds the maximum allowed ({MAX_NUMBER})")


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not a JSON value")


# msgspec reads most documents, and as Jackson does; Python's own decoder reads the rest.
_quick = msgspec.json.Decoder(float_hook=_number)
_decoder = json.JSONDecoder(parse_float=_number, parse_int=_integer, parse_constant=_refuse)
_quick_encoder = msgspec.json.Encoder(enc_hook=lambda number: msgspec.Raw(number.text.encode()))
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode


def _parse_anything(body: bytes) -> Any:
    encoding = json.detect_encoding(body)
    try:
        # Java reads broken UTF-16 as U+FFFD and refuses broken UTF-8.
        text = body.decode(encoding, "strict" if encoding.startswith("utf-8") else "replace")
        value, end = _decoder.raw_decode(text, _begin(text, 0))
    except UnicodeDecodeError as error:
        raise malformed(f"Invalid UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:
        raise malformed(f"Malformed JSON: {error}") from None
    if end < len(text) and not isinstance(value, dict | list | str) and _begin(text, end) == end:
        raise malformed(f"Malformed JSON: unexpected character at {end}")
    return value


def _check_limits(value: Any, depth: int) -> None:
    """Raise 400 for a value over Jackson's limits."""
    level = [value]
    while level:
        inner: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                if any(len(name) > MAX_NAME for name in one):
                    raise malformed(f"Name length exceeds the maximum allowed ({MAX_NAME})")
                inner.extend(one.values())
            elif isinstance(one, list):
                inner.extend(one)
            elif isinstance(one, int) and abs(one) >= _FIRST_TOO_LONG:
                raise malformed(f"Number value length exceeds the maximum allowed ({MAX_NUMBER})")
            elif isinstance(one, str) and len(one) > MAX_TEXT:
                raise malformed(f"String value length ({len(one)}) exceeds the maximum allowed ({MAX_TEXT})")
        if any(isinstance(one, dict | list) for one in level):
            depth += 1
        level = inner
    if depth > MAX_DEPTH:
        raise _too_deep()


def _too_deep() -> RestError:
    return malformed(f"Document nesting depth exceeds the maximum allowed ({MAX_DEPTH})")


def _bad_request(value: Any, expected: str) -> RestError:
    return malformed(f"Bad Request: data={dump(value).decode()} is not a {expected}.")


def _as_jackson(match: re.Match[str]) -> str:
    found = match[0]
    if len(found) == 6:
        return "\\u" + found[2:].upper()
    if found[0] == "\\":
        return found
    units = found.encode("utf-16-be", "surrogatepass").hex().upper()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))


def _text(value: Any) -> str:
    """The quick encoder's output for a value with half characters."""
    if isinstance(value, Number):
        return value.text
    if isinstance(value, dict):
        return "{" + ",".join(f"{_encode(key)}:{_text(member)}" for key, member in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_text, value)) + "]"
    return _encode(value)
