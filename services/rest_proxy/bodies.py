"""Request bodies, read as the real proxy's Jackson binds JSON to the fields of a call.

A text may be sent as a number or true. A whole number may be sent as a text, with a fraction (cut off) or as an empty
text (null). What cannot be coerced, and a field that the call does not have, is 400.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from services.rest_proxy import documents
from services.rest_proxy.errors import http_error, malformed, partition_not_found, unprocessable

Item = TypeVar("Item")
Kind = Callable[[Any], Any]
"""Converts one value of a document; raises 400 for a value that it cannot convert."""

KINDS = {"binary": "binary", "json": "json", "avro": "schema", "jsonschema": "schema", "protobuf": "schema"}
"""The formats of a consumer instance, and the kind of read that fits."""
_MAX_MIN_BYTES = 10_000_000

# What Java's trim() removes, and more digits than any number here has.
_BLANKS = "".join(map(chr, range(33)))
_WHOLE = re.compile(r"[+-]?\d{1,1000}")


def required(document: Item | None) -> Item:
    """A body that the call needs; raises 422 if it is missing or null."""
    if document is None:
        raise unprocessable("the request's body must not be null")
    return document


def not_null(value: Item | None) -> Item:
    """A field that the call needs; raises 500 for a null, for the real proxy does not check it and fails."""
    if value is None:
        raise http_error(500)
    return value


def fields(document: Any, kinds: Mapping[str, Kind]) -> list[Any]:
    """The values of an object's fields in the order of `kinds`, null for a missing one; raises 400 for other fields."""
    if not isinstance(document, dict):
        raise malformed(f"Cannot deserialize {_type(document)}: expected an object with {' or '.join(kinds)}")
    for name in document:
        if name not in kinds:
            raise malformed(f'Unrecognized field "{name}" (known are {", ".join(kinds)})')
    return [kind(document.get(name)) for name, kind in kinds.items()]


def anything(value: Any) -> Any:
    """The value as it is."""
    return value


def text(value: Any) -> str | None:
    """A text or null; a number or true becomes the text that it is written as."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list | dict):
        raise malformed(f"Cannot deserialize a text from {_type(value)}")
    return documents.dump(value).decode()


def int32(value: Any) -> int | None:
    """A whole number of 32 bits or null."""
    return _whole(value, 32)


def int64(value: Any) -> int | None:
    """A whole number of 64 bits or null."""
    return _whole(value, 64)


def list_of(kind: Callable[[Any], Item]) -> Callable[[Any], list[Item] | None]:
    """A list of such values, or null."""

    def convert(value: Any) -> list[Item] | None:
        if value is None:
            return None
        if not isinstance(value, list):
            raise malformed(f"Cannot deserialize a list from {_type(value)}")
        return [kind(item) for item in value]

    return convert


def _whole(value: Any, bits: int) -> int | None:
    if value is None:
        return None
    if isinstance(value, list | dict | bool):
        raise malformed(f"Cannot deserialize a whole number from {_type(value)}")
    number: int | float = value.value if isinstance(value, documents.Number) else value
    if isinstance(value, str):
        digits = value.strip(_BLANKS)
        if digits in ("", "null"):
            return None
        if not _WHOLE.fullmatch(digits):
            raise malformed(f"Cannot deserialize {value!r:.100}: not a whole number")
        number = int(digits)
    if not -(2 ** (bits - 1)) <= number <= 2 ** (bits - 1) - 1:
        raise malformed(f"Numeric value ({number}) out of range of {bits} bits")
    return int(number)


def _type(value: Any) -> str:
    types = {list: "an array", dict: "an object", str: "a text", bool: "true or false"}
    return types.get(type(value), "a number")


def check_texts(document: Any) -> None:
    """Raise 400 unless the body is null or an object of texts."""
    if document is not None and not isinstance(document, dict):
        raise malformed(f"Cannot deserialize an object from {_type(document)}")
    for value in (document or {}).values():
        text(value)


@dataclass(frozen=True)
class NewInstance:
    """A request to create a consumer instance; null where the request says nothing."""

    name: str | None = None
    format: str = "binary"
    offset_reset: str | None = None
    auto_commit: str | None = None
    min_bytes: int | None = None
    timeout_ms: int | None = None


_TEXTS = ("id", "name", "format", "auto.offset.reset", "auto.commit.enable")
# Each of these two fields has a second name.
_MIN_BYTES = ("fetch.min.bytes", "responseMinBytes")
_TIMEOUT = ("consumer.request.timeout.ms", "requestWaitMs")
_NEW_INSTANCE = dict.fromkeys(_TEXTS, text) | dict.fromkeys(_MIN_BYTES + _TIMEOUT, int32)


def new_instance(document: Any) -> NewInstance:
    """The body of POST /consumers/{group}; raises 400 for an unknown format and fetch.min.bytes out of range."""
    if document is None:
        return NewInstance()
    values = dict(zip(_NEW_INSTANCE, fields(document, _NEW_INSTANCE), strict=True))

    def last_of(names: tuple[str, ...]) -> Any:
        return next((values[name] for name in reversed(document) if name in names), None)

    embedded = (values["format"] if values["format"] is not None else "binary").lower()
    if embedded not in KINDS:
        raise malformed("Invalid format type.")
    min_bytes = last_of(_MIN_BYTES)
    if min_bytes is not None and not -1 <= min_bytes <= _MAX_MIN_BYTES:
        raise malformed(f"fetch.min.bytes must be from -1 to {_MAX_MIN_BYTES}")
    name = values["id"] if values["id"] is not None else values["name"]
    return NewInstance(
        name, embedded, values["auto.offset.reset"], values["auto.commit.enable"], min_bytes, last_of(_TIMEOUT)
    )


_SUBSCRIPTION = {"topics": list_of(text), "topic_pattern": text}
_PARTITION = {"topic": text, "partition": int32}
_POSITION = {**_PARTITION, "offset": int64, "metadata": text}
_PARTITIONS = {"partitions": list_of(lambda item: None if item is None else fields(item, _PARTITION))}
_POSITIONS = {"offsets": list_of(lambda item: None if item is None else fields(item, _POSITION))}

Entries = list[Any]
"""The entries of a list, each the values of its fields, or null. A list that is null counts as one with a null in it,
since the real proxy fails at both."""


def subscription(document: Any) -> list[Any]:
    """Topics and pattern of POST …/subscription."""
    return fields(required(document), _SUBSCRIPTION)


def partitions(document: Any) -> Entries:
    """`{"partitions": [{"topic", "partition"}]}`."""
    (entries,) = fields(required(document), _PARTITIONS)
    return [None] if entries is None else entries


def partitions_to_look_up(document: Any) -> Entries:
    """The same for GET …/offsets, which is a GET with a body; raises 404/40402 without one."""
    if document is None:
        raise partition_not_found()
    return partitions(document)


def positions(document: Any) -> Entries:
    """`{"offsets": [{"topic", "partition", "offset", "metadata"}]}`."""
    (entries,) = fields(required(document), _POSITIONS)
    return [None] if entries is None else entries


def offsets_to_commit(document: Any) -> Entries | None:
    """The same for POST …/offsets, which needs no body."""
    return None if document is None else positions(document)
