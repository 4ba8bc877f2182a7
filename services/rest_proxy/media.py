"""Content negotiation of API v2: which types a call takes and gives."""

from __future__ import annotations

from services.rest_proxy.errors import http_error

V2 = "application/vnd.kafka.v2+json"
JSON = "application/vnd.kafka.json.v2+json"
BINARY = "application/vnd.kafka.binary.v2+json"


def content_type(header: str | None, accepted: tuple[str, ...]) -> str:
    """The media type of a body, without parameters; raises 415 unless it is one of those accepted."""
    media_type = (header or "").partition(";")[0].strip().lower()
    if media_type not in accepted:
        raise http_error(415)
    return media_type


def negotiate(header: str | None, offered: tuple[str, ...]) -> str:
    """The offered type that an Accept header prefers, the first of equals; raises 406 if it takes none of them.

    >>> negotiate("text/html, */*;q=0.5", (V2,))
    'application/vnd.kafka.v2+json'
    """
    if not header or not header.strip():
        return offered[0]
    ranges = [_range(part) for part in header.split(",")]
    weights = {media_type: _weight(media_type, ranges) for media_type in offered}
    best = max(offered, key=lambda media_type: weights[media_type])
    if weights[best] <= 0:
        raise http_error(406)
    return best


def _range(part: str) -> tuple[str, float]:
    media_range, *parameters = (piece.strip().lower() for piece in part.split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return media_range, float(value)
            except ValueError:
                return media_range, 0.0
    return media_range, 1.0


def _weight(media_type: str, ranges: list[tuple[str, float]]) -> float:
    """The weight of the most specific range that matches (RFC 9110, section 12.5.1)."""
    for wanted in (media_type, f"{media_type.partition('/')[0]}/*", "*/*"):
        for media_range, weight in ranges:
            if media_range == wanted:
                return weight
    return 0.0
