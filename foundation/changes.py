"""Which keys of a profile have changed since its stack was started."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from foundation.errors import ProfileError
from foundation.paths import ROOT, shown
from foundation.profile import Profile

# In the stack's directory; exists from `up` to `down`.
_FILE = Path("run") / "profile.json"
# Keys that `up` cannot apply to what already exists.
_STAYS = {
    "kafka.partitions": "existing topics keep their number of partitions",
    "kinesis.shards": "existing streams keep their number of shards",
}


@dataclass(frozen=True)
class Change:
    """A key of the profile (`database.url`) with its value at the start and now; both are None for a secret."""

    key: str
    before: str | None = None
    after: str | None = None

    def __str__(self) -> str:
        return self.key if self.after is None else f"{self.key} {self.before} → {self.after}"


def remember(profile: Profile) -> None:
    """Save what the stack was started with, readable by its owner only; secrets as salted hashes."""
    salt = secrets.token_hex(16)
    content = {
        "profile": str(profile.path),
        "salt": salt,
        "values": {key: value for key, value in _values(profile) if isinstance(value, str)},
        "secrets": {key: _hash(value, salt) for key, value in _values(profile) if isinstance(value, SecretStr)},
    }
    file = profile.home / _FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
        json.dump(content, out, ensure_ascii=False, indent=1)
    draft.replace(file)


def remember_start(profile: Profile) -> None:
    """`remember` for a stack that begins to start, which may fail halfway; a running stack's record stays as it is."""
    if not _started(profile):
        remember(profile)


def forget(profile: Profile) -> None:
    """Delete the record: the stack was stopped, and its next start reads the profile anew."""
    (profile.home / _FILE).unlink(missing_ok=True)


def since_start(profile: Profile) -> list[Change]:
    """The keys that changed since the start; empty if the stack is stopped or does not run on this machine."""
    started = _started(profile)
    if not started:
        return []
    now = dict(_values(profile))
    values: dict[str, str] = started["values"]
    hashes: dict[str, str] = started["secrets"]
    changes = []
    for key in [*now, *(key for key in {**values, **hashes} if key not in now)]:
        value = now.get(key)
        if isinstance(value, SecretStr) or key in hashes:
            same = isinstance(value, SecretStr) and hashes.get(key) == _hash(value, started["salt"])
            changes += [] if same else [Change(key)]
        elif value != values.get(key):
            changes.append(Change(key, values.get(key, "(none)"), value if value is not None else "(none)"))
    return changes


def summary(profile: Profile) -> str:
    """One line with the changed keys and their values; "" if nothing changed."""
    changes = since_start(profile)
    named = ", ".join(map(str, changes))
    return f"{_shown(profile.path)} has changed since its stack was last started: {named}" if changes else ""


def notice(profile: Profile) -> str:
    """`summary` for a command that does not apply the changes, with what to do; otherwise what `moved` returns."""
    changed = summary(profile)
    if not changed:
        return moved(profile)
    name = "" if profile.path == ROOT / "profiles" / "local.yaml" else f" PROFILE={shown(profile.path)}"
    stays = [f"; {why}" for change in since_start(profile) if (why := _STAYS.get(change.key))]
    return f"{changed}\n  → `make up{name}` applies this without a reset{''.join(stays)}"


def moved(profile: Profile) -> str:
    """A warning if the stack was started in another directory than stack.directory is now; else ""."""
    if profile.stack is None or _started(profile):
        return ""
    for depth in ("*", "*/*"):
        for file in (ROOT / ".pinflow").glob(f"{depth}/{_FILE}"):
            if _read(file).get("profile") == str(profile.path):
                return (
                    f"stack.directory of {_shown(profile.path)} has changed since its stack was started in "
                    f"{_shown(file.parent.parent)}\n"
                    "  → `make up` would start a second stack; to stop the first, write the old directory into the "
                    "profile again and run `make down`"
                )
    return ""


def digest(text: str, salt: str) -> str:
    """A hash of a possible secret; slow on purpose, because whoever reads the hash has the salt as well."""
    return hashlib.pbkdf2_hmac("sha256", text.encode(), salt.encode(), 10_000).hex()


def _started(profile: Profile) -> dict[str, Any]:
    """What remember() saved; empty if there is no readable record."""
    if profile.stack is None:
        return {}
    with suppress(ProfileError):  # a wrong stack.directory: the command that needs it reports it
        return _read(profile.home / _FILE)
    return {}


def _read(file: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        found = json.loads(file.read_text(encoding="utf-8"))
        return dict(found)
    return {}


def _values(profile: Profile) -> Iterator[tuple[str, str | SecretStr]]:
    """Every key, dotted, with its value."""
    yield from _leaves(profile.model_dump(by_alias=True), ())


def _leaves(value: Any, keys: tuple[str, ...]) -> Iterator[tuple[str, str | SecretStr]]:
    if isinstance(value, dict):
        for key, below in value.items():
            yield from _leaves(below, (*keys, str(key)))
    elif isinstance(value, SecretStr):
        yield ".".join(keys), value
    elif isinstance(value, list):
        yield ".".join(keys), f"[{', '.join(map(str, value))}]"
    else:
        yield ".".join(keys), "null" if value is None else str(value)


def _hash(secret: SecretStr, salt: str) -> str:
    return digest(secret.get_secret_value(), salt)


def _shown(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
