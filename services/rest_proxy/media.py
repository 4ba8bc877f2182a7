"""Content negotiation of API v2, by the rules of JAX-RS as Jersey implements them: the types of body and answer.

Jersey differs from RFC 9110 in three points: ``q=0`` does not exclude a type, parameters of the accepted type are
repeated in the answer's, and ``application`` alone means ``application/*``.
"""

from __future__ import annotations

import re
from functools import lru_cache

from services.rest_proxy.errors import Unreadable, http_error

V2 = "application/vnd.kafka.v2+json"
JSON = "application/vnd.kafka.json.v2+json"
BINARY = "application/vnd.kafka.binary.v2+json"
AVRO = "application/vnd.kafka.avro.v2+json"
JSON_SCHEMA = "application/vnd.kafka.jsonschema.v2+json"
PROTOBUF = "application/vnd.kafka.protobuf.v2+json"

Offer = tuple[tuple[str, float], ...]
"""The types that a call can answer with, each with the server's weight for it."""

ONLY_V2: Offer = ((V2, 1.0),)
ANY_FORMAT: Offer = ((V2, 0.9), *((name, 0.1) for name in (BINARY, AVRO, JSON, JSON_SCHEMA, PROTOBUF)))
RECORDS: Offer = ((BINARY, 1.0), (V2, 0.9), *((name, 0.1) for name in (AVRO, JSON, JSON_SCHEMA, PROTOBUF)))

_TOKEN = r"[\w!#$%&'*+.^`|~-]+"
_PARAMETER = re.compile(rf';\s*({_TOKEN})\s*=\s*({_TOKEN}|"[^"]*")\s*', re.ASCII)
# Blanks are always followed by something else: otherwise a header of n blanks would take time n cubed.
_MEDIA_TYPE = re.compile(rf"({_TOKEN})\s*(?:/\s*({_TOKEN})\s*)?((?:{_PARAMETER.pattern})*)(?:;\s*)?", re.ASCII)
_WEIGHT = re.compile(r"[01](\.\d{0,3})?")


@lru_cache(maxsize=256)
def content_type(header: str | None, accepted: tuple[str, ...]) -> str:
    """The type of a body, one of those accepted; the first of them without a header.

    Raises 415 for another type, and for one whose `+json` is in capitals, which Jackson does not read. Raises
    Unreadable for a header that is not one media type.
    """
    if header is None:
        return accepted[0]
    media_type, _, _ = _parsed(header)
    if "/" not in media_type:
        raise Unreadable
    if media_type.lower() not in accepted or not media_type.endswith("+json"):
        raise http_error(415)
    return media_type.lower()


@lru_cache(maxsize=256)
def negotiate(header: str | None, offered: Offer) -> str:
    """The Content-Type of the answer: the offered type that an Accept header prefers, with the header's parameters.

    Raises 406 if the header accepts none of them, Unreadable if it cannot be parsed, and 500 if it has the `+json` of
    the type in capitals, which Jackson does not write.

    >>> negotiate("text/html, */*;q=0.5", ONLY_V2)
    'application/vnd.kafka.v2+json'
    """
    if not header or not header.strip():
        header = "*/*"
    matches = []
    for part in header.split(","):
        media_type, weight, parameters = _parsed(part)
        for name, server_weight in offered:
            wildcards = _wildcards(media_type.lower(), name)
            if wildcards is not None:
                given = name if wildcards else media_type + parameters
                matches.append(((weight, server_weight, -wildcards), given))
    if not matches:
        raise http_error(406)
    best = max(matches, key=lambda match: match[0])[1]
    if not best.partition(";")[0].endswith("+json"):
        raise http_error(500)
    return best


def _parsed(text: str) -> tuple[str, float, str]:
    """Type, weight, and the other parameters in the form of an answer."""
    found = _MEDIA_TYPE.fullmatch(text.strip(" \t"))
    if found is None:
        raise Unreadable
    media_type = f"{found[1]}/{found[2]}" if found[2] else found[1]
    weight, others = 1.0, ""
    for name, value in _PARAMETER.findall(found[3]):
        if name.lower() != "q":
            others += f";{name}={value}"
        elif _WEIGHT.fullmatch(value) and float(value) <= 1:
            weight = float(value)
        else:
            raise Unreadable
    return media_type, weight, others


def _wildcards(media_range: str, media_type: str) -> int | None:
    """How many wildcards a range needs to match a type; None if it does not match."""
    if media_range == media_type:
        return 0
    main, _, sub = media_range.partition("/")
    if sub not in ("", "*") or main not in ("*", media_type.partition("/")[0]):
        return None
    return 2 if main == "*" else 1
