"""Links between the Markdown files lead to files and headings that exist."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from foundation.profile import ROOT
from tests.lint import tracked

PAGES = tracked("*.md")


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_links_lead_somewhere(page: Path) -> None:
    broken = [link for link in _links(page) if not _exists(page, link)]
    assert not broken, f"{page.relative_to(ROOT)} links to what does not exist: {', '.join(broken)}"


def _links(page: Path) -> list[str]:
    links = re.findall(r"\]\(([^)\s]+)\)", _prose(page))
    return [link for link in links if not re.match(r"[a-z]+:", link)]


def _exists(page: Path, link: str) -> bool:
    file, _, anchor = link.partition("#")
    target = (page.parent / unquote(file)).resolve() if file else page
    return target.exists() and (not anchor or anchor in _anchors(target))


def _anchors(page: Path) -> set[str]:
    """The headings' anchors as GitHub makes them: `## (c) From S3` → `c-from-s3`."""
    headings = re.findall(r"^#+ (.+)$", _prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _prose(page: Path) -> str:
    """A page without its code blocks."""
    return re.sub(r"^ *```.*?^ *```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
