"""An unplanned change of what a user sees of the whole shows in one diff."""

from __future__ import annotations

import difflib

import pytest

from tests.snapshots import FOLDER, VIEWS, text


@pytest.mark.parametrize("file", VIEWS)
def test_what_a_user_sees_is_as_recorded(file: str) -> None:
    path = FOLDER / file
    now = text(file).splitlines()
    before = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    difference = "\n".join(difflib.unified_diff(before, now, file, "now", n=1, lineterm=""))
    if difference:
        pytest.fail(f"{difference}\n\nIf that is what you want: make snapshots", pytrace=False)
