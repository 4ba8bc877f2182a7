"""Settings of a service: services/<service>/<service>.env, with the official image's own variable names.

Compose passes the file to the image; natively it is read here and rendered by the image's rule.
"""

from __future__ import annotations

from pathlib import Path

from foundation.profile import ROOT


def read(service: str) -> dict[str, str]:
    """The variables of services/<service>/<service>.env, in order: `NAME=value` lines, `#` comments."""
    variables = {}
    path: Path = ROOT / "services" / service / f"{service}.env"
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            name, _, value = line.partition("=")
            variables[name.strip()] = value.strip()
    return variables


def properties(variables: dict[str, str], prefix: str) -> dict[str, str]:
    """Variables with the prefix as properties, by the images' rule.

    The prefix is stripped, letters are lower-cased, `___` becomes `-`, `__` becomes `_` and `_` becomes `.`.

    >>> properties({"KAFKA_REST_BOOTSTRAP_SERVERS": "a:1", "OTHER": "x"}, "KAFKA_REST_")
    {'bootstrap.servers': 'a:1'}
    """
    return {
        name.removeprefix(prefix)
        .lower()
        .replace("___", "-")
        .replace("__", "\0")
        .replace("_", ".")
        .replace("\0", "_"): value
        for name, value in variables.items()
        if name.startswith(prefix)
    }
