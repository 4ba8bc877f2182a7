"""Bad input made up from a seed: values that nobody expects, records that nearly fit, bytes that are broken.

draw = random.Random(7)
damaged(draw, b'{"a": 1}')    # b'{"a": ' or b'{"a"\xff: 1}' or …
"""

from __future__ import annotations

import random
from typing import Any

CASES = 1_000
"""For each border."""
_ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63), 10**30, 0.5, -0.0, 1e308, float("nan"), float("inf"),
    "", " ", "\x00", "\n", "a\tb", "\u00a0", "\ufeff", "\ud800", "\U0001f600", "é" * 300, "x" * 5_000, "null", "NaN",
    "1", "-1", "12k", "2020-02-30T00:00:00", "../..", "%2e%2e/", "/", "${HOME}", "<uid>", "{{x}}", "'; --", '"', "\\",
    [], {}, [[]], {"": ""}, {"a": None}, [None, 1, "a"],
)  # fmt: skip
_PIECES = (
    b"\x00", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xef\xbb\xbf", b'"', b"'", b"\\", b"\\u", b"\\ud800", b"{", b"}",
    b"[", b"]", b",", b":", b"-", b"0", b"1e999", b"NaN", b"null", b" ", b"\t", b"\r\n", b"\n", b"/*", b"--", b";",
    b"`", b"#", b"&a ", b"*a", b"!!python/object:os.system ", b"<<: ", b"[" * 2_000, b"9" * 5_000,
)  # fmt: skip


def value(draw: random.Random, depth: int = 3) -> Any:
    """Any JSON value, mostly an odd one; NaN, Infinity and halves of characters too."""
    kind = draw.random()
    if depth and kind < 0.1:
        return [value(draw, depth - 1) for _ in range(draw.randrange(4))]
    if depth and kind < 0.2:
        return {str(key(draw)): value(draw, depth - 1) for _ in range(draw.randrange(4))}
    return draw.choice(_ODD)


def text(draw: random.Random) -> str:
    """An odd text without halves of characters, so that it can be sent."""
    return draw.choice([odd for odd in _ODD if isinstance(odd, str) and odd != "\ud800"])


def key(draw: random.Random) -> str:
    """The name of something that does not exist, or an odd text."""
    return draw.choice(("id", "name", "path", "Index", "index ", "config", text(draw)))


def changed(draw: random.Random, record: dict[str, Any]) -> dict[str, Any]:
    """The record with one to three of its values replaced, removed, renamed or added; in any order."""
    made = dict(record)
    for _ in range(draw.randint(1, 3)):
        name = draw.choice([*made, key(draw)])
        match draw.randrange(4):
            case 0:
                made.pop(name, None)
            case 1:
                made[key(draw)] = made.pop(name, None)
            case 2 if isinstance(made.get(name), dict) and made[name]:
                made[name] = changed(draw, made[name])
            case _:
                made[name] = value(draw)
    names = list(made)
    draw.shuffle(names)
    return {name: made[name] for name in names}


def damaged(draw: random.Random, data: bytes) -> bytes:
    """The bytes with one to three places cut out, doubled, overwritten or filled with what does harm; or cut off."""
    for _ in range(draw.randint(1, 3)):
        start = draw.randint(0, len(data))
        end = min(len(data), start + draw.choice((0, 1, 1, 2, 8, 64)))
        match draw.randrange(5):
            case 0:
                data = data[:start] + data[end:]
            case 1:
                data = data[:end] + data[start:]
            case 2:
                data = data[:start] + bytes(draw.randrange(256) for _ in range(end - start)) + data[end:]
            case 3:
                data = data[:start]
            case _:
                data = data[:start] + draw.choice(_PIECES) + data[end:]
    return data
