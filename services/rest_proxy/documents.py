"""JSON as it comes in and as it goes to Kafka: compact, keys in order, every number as it was written.

As in the real one, of a key that occurs twice the last value counts.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from services.rest_proxy.errors import malformed, unprocessable

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode


class _Number:
    """A number that a float would write differently: 0.1000, 1E5, 1e400, more digits than a float has."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


def parse(body: bytes) -> Any:
    """A JSON document; raises 400 for what is none: broken UTF-8, NaN, nesting or an integer beyond all reason."""
    try:
        return _decode(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise malformed(f"Invalid UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise malformed("Document is nested too deeply") from None
    except ValueError as error:
        raise malformed(f"Malformed JSON: {error}") from None


def dump(value: Any) -> bytes:
    """A value of a parsed document as compact JSON; raises 422 for half of a surrogate pair, which is no text."""
    try:
        try:
            text = _encode(value)
        except TypeError:
            text = _compact(value)
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise unprocessable("Conversion of JSON to Object failed: incomplete surrogate pair in a text", 42203) from None
    except RecursionError:
        raise malformed("Document is nested too deeply") from None


def embedded_json(value: Any) -> bytes | None:
    """A key or value of the format json as it is written to Kafka; JSON's null is Kafka's null."""
    return None if value is None else dump(value)


def embedded_binary(value: Any) -> bytes | None:
    """A key or value of the format binary: base64; raises 422 for anything else."""
    if value is None:
        return None
    try:
        return base64.b64decode(value, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise unprocessable("Conversion of JSON to Object failed: a key or value is not base64", 42203) from None


def _decode(text: str) -> Any:
    return json.loads(text, parse_float=_number, parse_constant=_refuse)


def _number(text: str) -> float | _Number:
    number = float(text)
    return number if repr(number) == text else _Number(text)


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not a JSON value")


def _compact(value: Any) -> str:
    """What the encoder writes, for the rare document that holds a number which must keep its text."""
    if isinstance(value, _Number):
        return value.text
    if isinstance(value, dict):
        return "{" + ",".join(f"{_encode(key)}:{_compact(member)}" for key, member in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_compact(member) for member in value) + "]"
    return _encode(value)
