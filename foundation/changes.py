"""What of a profile has changed since its stack was started. It knows the profile and nothing of the stack."""

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

# In the stack's directory, from `up` to `down`.
_FILE = Path("run") / "profile.json"
# What `up` cannot change of what is there.
_STAYS = {"kafka.partitions": "topics that exist keep their number of partitions"}


@dataclass(frozen=True)
class Change:
    """A key of the profile (`database.url`) with its value at the start and now; of a secret neither is known."""

    key: str
    before: str | None = None
    after: str | None = None

    def __str__(self) -> str:
        return self.key if self.after is None else f"{self.key} {self.before} → {self.after}"


def remember(profile: Profile) -> None:
    """Write down what the stack was started with, for its owner only; of secrets a salted hash."""
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
    """The same as a stack begins to start, for that may fail halfway; what is written down of a running one stays."""
    if not _started(profile):
        remember(profile)


def forget(profile: Profile) -> None:
    """The stack was stopped: its next start takes the profile as it is then."""
    (profile.home / _FILE).unlink(missing_ok=True)


def since_start(profile: Profile) -> list[Change]:
    """What is not as it was when the stack was started; empty where it is stopped, or runs on no machine of ours."""
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
    """One line that names the keys that have changed, with their values; nothing where none has."""
    changes = since_start(profile)
    named = ", ".join(map(str, changes))
    return f"{_shown(profile.path)} has changed since its stack was last started: {named}" if changes else ""


def notice(profile: Profile) -> str:
    """The same for a command that does not apply it, and what to do; else what ``moved`` says."""
    said = summary(profile)
    if not said:
        return moved(profile)
    name = "" if profile.path == ROOT / "profiles" / "local.yaml" else f" PROFILE={shown(profile.path)}"
    stays = [f"; {why}" for change in since_start(profile) if (why := _STAYS.get(change.key))]
    return f"{said}\n  → `make up{name}` applies this without a reset{''.join(stays)}"


def moved(profile: Profile) -> str:
    """Where this profile's stack was started, if stack.directory is another one now; else nothing."""
    if profile.stack is None or _started(profile):
        return ""
    for depth in ("*", "*/*"):
        for file in (ROOT / ".pinflow").glob(f"{depth}/{_FILE}"):
            if _read(file).get("profile") == str(profile.path):
                return (
                    f"stack.directory of {_shown(profile.path)} has changed since its stack was started in "
                    f"{_shown(file.parent.parent)}\n"
                    "  → `make up` starts another stack; to stop that one, if it still runs, write the old directory "
                    "again and run `make down`"
                )
    return ""


def digest(text: str, salt: str) -> str:
    """A hash of what may be a secret; slow on purpose, for whoever gets hold of it has the salt as well."""
    return hashlib.pbkdf2_hmac("sha256", text.encode(), salt.encode(), 10_000).hex()


def _started(profile: Profile) -> dict[str, Any]:
    """What remember() wrote; empty where there is nothing, or nothing that can be read."""
    if profile.stack is None:
        return {}
    with suppress(ProfileError):  # of stack.directory; whoever needs it will say so
        return _read(profile.home / _FILE)
    return {}


def _read(file: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        found = json.loads(file.read_text(encoding="utf-8"))
        return dict(found)
    return {}


def _values(profile: Profile) -> Iterator[tuple[str, str | SecretStr]]:
    """Every key, dotted, with its value as the profile's file has it."""
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
