"""The messages that the documentation quotes are those that the code prints."""

from __future__ import annotations

import re

import pytest

from foundation.paths import ROOT
from tests.lint import tracked

PAGES = ("docs/troubleshooting.md", "docs/containers.md", "docs/account.md")
ELSEWHERE = {"docker-proxy", "No space left on device", "Stream", "not found", "<uid>_dag"}
"""What Docker, Kafka and LocalStack print."""


def quoted(page: str) -> list[str]:
    """The fixed parts of the messages in the page's "you see" tables; `…` stands for what varies."""
    tables = (ROOT / page).read_text(encoding="utf-8").split("| you see | do this |")[1:]
    cells = [row.split(" | ")[0] for table in tables for row in table.split("\n\n")[0].splitlines()]
    messages = [
        message for cell in cells for message in re.findall("`([^`]+)`", cell) if not message.startswith("make ")
    ]
    return [part.strip() for message in messages for part in message.split("…") if part.strip(" :;,.()")]


@pytest.mark.parametrize("page", PAGES)
def test_quoted_messages_are_printed(page: str) -> None:
    product = tracked("pinflow/*.py", "foundation/*.py", "services/*.py", "emulator/*.py")
    # Texts in neighbouring quotes are one text for Python.
    code = re.sub(r'"\s*f?"', "", "".join(path.read_text(encoding="utf-8") for path in product))
    missing = [part for part in quoted(page) if part not in code and part not in ELSEWHERE]
    assert not missing, f"{page} quotes what no code prints: {missing}"
