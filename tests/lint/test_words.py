"""Plain English in the product and its documentation: words that read oddly, and what to write for them."""

from __future__ import annotations

import re

from foundation.paths import ROOT
from tests.lint import tracked

PLAIN = {
    r"\bmend(s|ed|ing)?\b": "fix",
    r"\blast words\b": "last log line",
    r"\bnot to be had\b": "not supported",
    r"\b(begun|began) once\b": "a previous attempt",
    r"\bcomes? again\b": "run again, is sent again",
    r"\btak(e|es|en) away\b": "delete, remove",
    r"\bpatience\b": "timeout",
    r"\bby lot\b": "at random",
    r"\bnext life\b": "next start",
    r"\bquestioned by\b": "analysed by",
    r"\bleft out\b": "skipped",
    r"\bnobody is there to ask\b": "stdin is not a terminal",
}
"""A pattern, and what an engineer would write."""
PRODUCT = (
    "pinflow",
    "foundation",
    "emulator",
    "services",
    "spark",
    "airflow",
    "localstack",
    "profiles",
    "docs",
    "bench",
    "bin",
)
KINDS = {".py", ".md", ".yaml", ".sh", ".js", ".html", ".env", ""}


def test_texts_are_plain_english() -> None:
    files = [path for path in tracked(*PRODUCT, "*.md", "Makefile") if path.suffix in KINDS]
    found = [
        f"{path.relative_to(ROOT)}:{number}: {match[0]!r}: write {instead!r}"
        for path in files
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        for pattern, instead in PLAIN.items()
        if (match := re.search(pattern, line, re.IGNORECASE))
    ]
    assert not found, "\n".join(found)
