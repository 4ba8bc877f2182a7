"""What a deployment would change, as text; masks the profile's secrets and settings whose name suggests a secret."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, SecretStr

from foundation.profile import Profile

MASK = "********"
_SECRET = re.compile(r"secret|password|token|access\.key|jaas", re.IGNORECASE)
_SHORTEST = 6
"""Shorter secrets are words such as "local": masking them would hide half of a text and protect nothing."""


@dataclass(frozen=True)
class Difference:
    """A place (a key in S3, a path in the workspace, a connector), its text now (None: missing) and its new text."""

    place: str
    before: str | None
    after: str

    def lines(self, profile: Profile) -> list[str]:
        """A unified diff without its header; empty for a new place."""
        if self.before is None:
            return []
        before, after = (masked(text, profile).splitlines() for text in (self.before, self.after))
        return list(difflib.unified_diff(before, after, n=1, lineterm=""))[2:]


def as_text(settings: Mapping[str, str]) -> str:
    """Settings as sorted lines; the value is masked if the name suggests a secret."""
    shown = {name: MASK if _SECRET.search(name) else value for name, value in settings.items()}
    return "".join(f"{name}={value}\n" for name, value in sorted(shown.items()))


def masked(text: str, profile: Profile) -> str:
    """The text with the profile's secrets masked."""
    for secret in sorted(_secrets(profile), key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text


def _secrets(value: Any) -> Iterator[str]:
    if isinstance(value, SecretStr):
        if len(value.get_secret_value()) >= _SHORTEST:
            yield value.get_secret_value()
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _secrets(getattr(value, name))
    elif isinstance(value, dict):
        for each in value.values():
            yield from _secrets(each)
