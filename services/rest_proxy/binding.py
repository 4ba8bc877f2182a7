"""How the real one's Jackson binds a JSON document to what a call takes, and what it makes of values of other types.

A text may come as a number or true, a number as a text, with a fraction (cut off) or as an empty text (null); what
cannot be coerced, and a field that the call does not have, is 400.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

from services.rest_proxy import documents
from services.rest_proxy.errors import http_error, malformed, unprocessable

Item = TypeVar("Item")
Bound = TypeVar("Bound")

# What Java's trim() takes away, and more digits than any number here has.
_BLANKS = "".join(map(chr, range(33)))
_WHOLE = re.compile(r"[+-]?\d{1,1000}")


def required(document: Bound | None) -> Bound:
    """A body that a call cannot do without; raises 422 if there is none or it is null."""
    if document is None:
        raise unprocessable("the request's body must not be null")
    return document


def unboxed(value: Item | None) -> Item:
    """A field that a call cannot do without. Nothing checks it in the real one, which fails with 500 (a null)."""
    if value is None:
        raise http_error(500)
    return value


def fields(document: Any, *names: str) -> dict[str, Any]:
    """An object with no other fields than these."""
    if not isinstance(document, dict):
        raise malformed(f"Cannot deserialize {_kind(document)}: expected an object with {' or '.join(names)}")
    for name in document:
        if name not in names:
            raise malformed(f'Unrecognized field "{name}" (known are {", ".join(names)})')
    return document


def texts(document: Any) -> None:
    """An object whose fields are texts, or null."""
    if document is None:
        return
    if not isinstance(document, dict):
        raise malformed(f"Cannot deserialize an object from {_kind(document)}")
    for value in document.values():
        text(value)


def items(value: Any, bind: Callable[[Any], Item]) -> list[Item] | None:
    """A list, or null."""
    if value is None:
        return None
    if not isinstance(value, list):
        raise malformed(f"Cannot deserialize a list from {_kind(value)}")
    return [bind(item) for item in value]


def text(value: Any) -> str | None:
    """A text, or null; a number or true is taken as it is written."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list | dict):
        raise malformed(f"Cannot deserialize a text from {_kind(value)}")
    return documents.dump(value).decode()


def whole(value: Any, bits: int) -> int | None:
    """A whole number of so many bits, or null."""
    if value is None:
        return None
    if isinstance(value, list | dict | bool):
        raise malformed(f"Cannot deserialize a whole number from {_kind(value)}")
    number: int | float = value.value if isinstance(value, documents.Number) else value
    if isinstance(value, str):
        text = value.strip(_BLANKS)
        if text in ("", "null"):
            return None
        if not _WHOLE.fullmatch(text):
            raise malformed(f"Cannot deserialize {value!r:.100}: not a whole number")
        number = int(text)
    if not -(2 ** (bits - 1)) <= number <= 2 ** (bits - 1) - 1:
        raise malformed(f"Numeric value ({number}) out of range of {bits} bits")
    return int(number)


def _kind(value: Any) -> str:
    kinds = {list: "an array", dict: "an object", str: "a text", bool: "true or false"}
    return kinds.get(type(value), "a number")
