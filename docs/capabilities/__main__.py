"""`python -m docs.capabilities` writes docs/capabilities.md: what of each replaced service is here, and its test.

`make capabilities` writes it; `make lint` runs `--check`. A line without a test fails the check. Its test stays the
same as long as it shows the line, so that the page does not change with every test that is written.
"""

from __future__ import annotations

import re
import sys

from docs.capabilities import evidence, inventory
from foundation.profile import ROOT

PAGE = ROOT / "docs" / "capabilities.md"


def page(now: str = "") -> tuple[str, list[str]]:
    """The page, and the names of what no test shows. ``now``: the page as it is."""
    lines, without, named = [_HEAD], [], _named(now)
    for section in inventory.sections():
        lines += ["", f"## {section.title}", "", f"From [{section.source}](../{section.source}).", ""]
        lines += ["| | state | test |", "|---|---|---|"]
        tests = [test for place in section.tests for test in evidence.tests_in(place)]
        routed = {call: evidence.routed(call, section.capabilities) for test in tests for call in test.calls}
        for capability in section.capabilities:
            state = capability.state + (f": {capability.note}" if capability.note else "")
            test = evidence.shown_by(capability, tests, routed, named.get((section.title, capability.name, state)))
            if test is None:
                without.append(f"{section.title}: {capability.name}")
            link = f"[{test.name}](../{test.file})" if test else "**no test**"
            lines.append(f"| `{capability.name}` | {state} | {link} |")
    return "\n".join(lines) + "\n", without


def _named(page: str) -> dict[tuple[str, str, str], tuple[str, str]]:
    """The test of each line of a page, by table, name and state: its name and file."""
    return {
        (table.partition("\n")[0], row[1], row[2]): (row[3], row[4])
        for table in page.split("\n## ")[1:]
        for row in re.finditer(r"^\| `(.+)` \| (.+) \| \[(.+)\]\(\.\./(.+)\) \|$", table, re.MULTILINE)
    }


_HEAD = """# What is here, and what is not

`make capabilities` makes this page from the code; `make lint` checks that it is current. Each line names a test that
uses what the line is about. In containers the REST proxy and Kafka Connect are Confluent's own, with all that they
have: their tables say what the native stack answers. MySQL's server, Kafka, LocalStack, Spark, Delta and Airflow are
the real software as a whole, and have no table.

- **real**: the real software does the work; only the way to it is ours.
- **stand-in**: our code does it, as the real one does; where it differs, the folder's README says so.
- **accepted without effect**: taken, so that what runs on AWS runs here, and nothing happens.
- **refused**: an error that says so. So is every call and option that no line names."""


def main() -> None:
    """Write the page; with --check only compare it. Exits with 1 if it is old, or if something has no test."""
    now = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    text, without = page(now)
    for name in without:
        print(f"{name}: no test uses it; write one, then run `make capabilities`")
    if sys.argv[1:] == ["--check"]:
        if text != now:
            print("docs/capabilities.md is not what the code says: run `make capabilities`")
            sys.exit(1)
    else:
        PAGE.write_text(text, encoding="utf-8")
    sys.exit(1 if without else 0)


if __name__ == "__main__":
    main()
