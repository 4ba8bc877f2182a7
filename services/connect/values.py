"""A record's value as a line of JSON, by the rules of Connect's JsonConverter without schemas."""

from __future__ import annotations

import json
from typing import NoReturn


class BadValue(Exception):
    """A value that is not one JSON document in UTF-8; the text says why."""


def _not_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


# Numbers stay text while parsing: values are written as they came, so nothing is rounded and no int is too long.
_decode = json.JSONDecoder(parse_constant=_not_json, parse_int=len, parse_float=len).decode


def line(value: bytes | None) -> bytes | None:
    """The value as it goes into an object, without the line end; None for a null (absent, empty or JSON null).

    The bytes stay as they are (key order, digits, escapes); only line ends between tokens become blanks. Raises
    BadValue. Stricter than the real converter: data after the first document is an error, where the real one drops it
    silently.
    """
    if value is None:
        return None
    try:
        text = value.decode("utf-8").strip(" \t\r\n")
        if not text:
            return None
        if _decode(text) is None:
            return None
    except (ValueError, RecursionError) as error:
        raise BadValue(str(error) or type(error).__name__) from None
    if "\n" in text or "\r" in text:
        # Raw line ends are legal only between tokens, never inside a JSON string.
        text = text.replace("\r", " ").replace("\n", " ")
    return text.encode("utf-8")
