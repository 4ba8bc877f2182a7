"""A thousand bad profiles: each loads, or is refused with the file and the key or the line, and shows no secret."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from foundation.errors import ProfileError
from foundation.profile import ROOT, load
from tests.generated import CASES, changed, damaged

pytestmark = pytest.mark.long
GOOD = (ROOT / "profiles" / "local.yaml").read_bytes()
VALUES = (
    b"2020-02-30", b"2020-01-01T99:99:99", b"!!int x", b"!!float x", b"!!bool maybe", b"!!timestamp no",
    b"!!binary '/'", b"&a [*a]", b"&a {b: *a}", b"[" * 5_000, b"{a: " * 5_000, b"9" * 5_000,
    b"*b", b"!!set {a}", b"!!omap [1]", b"0x",
    b"http://[::1", b"http://127.0.0.1:99999", b"http://127.0.0.1:x", b"127.0.0.1", b"mysql://h:99999/d", b"sc://h:x",
    b"1e400", b".nan", b"~", b"|", b"? [a]", b"<<: 3", b"%TAG", b"@", b"`",
)  # fmt: skip
"""Values that YAML, or what reads the value, makes something odd of."""
CANARY = "c4nary-S3cret"


def profile(draw: random.Random) -> bytes:
    """A profile that is wrong somewhere, as bytes of a file."""
    kind = draw.random()
    if kind < 0.3:
        lines = GOOD.splitlines()
        place = draw.choice(
            [number for number, line in enumerate(lines) if b": " in line and line.lstrip()[:1] != b"#"]
        )
        lines[place] = lines[place].partition(b": ")[0] + b": " + draw.choice(VALUES)
        return b"\n".join(lines)
    if kind < 0.6:
        return damaged(draw, GOOD)
    document: dict[str, Any] = yaml.safe_load(GOOD)
    for _ in range(draw.randint(1, 2)):
        section = draw.choice(list(document))
        if isinstance(document[section], dict) and draw.random() < 0.8:
            document[section] = changed(draw, document[section])
        else:
            document = changed(draw, document)
            if not document:
                break
    try:
        return yaml.safe_dump(document, allow_unicode=draw.random() < 0.5).encode("utf-8", "surrogatepass")
    except yaml.YAMLError:
        return repr(document).encode("utf-8", "surrogatepass")


@pytest.mark.parametrize("seed", [7])
def test_each_profile_loads_or_is_refused_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    for name in ("PINFLOW_DATABASE_PASSWORD", "PINFLOW_AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, CANARY)
    draw, path, refused = random.Random(seed), tmp_path / "bad.yaml", 0
    for number in range(CASES):
        raw = profile(draw)
        path.write_bytes(raw)
        try:
            loaded = load(str(path))
        except ProfileError as error:
            told = str(error)
            refused += 1
            assert str(path) in told, f"case {number}: {told}\n{raw!r}"
            assert re.search(
                r"(?s)^: .+: |line \d+|expected a mapping|an alias contains itself", told.replace(str(path), "")
            ), told
            assert CANARY not in told
        except Exception as error:
            raise AssertionError(f"case {number}: {error!r}\n{raw!r}") from error
        else:
            assert CANARY not in repr(loaded)
    assert refused > 300, "a seed that is bad enough"
