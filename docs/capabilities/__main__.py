"""`python -m docs.capabilities` writes docs/capabilities.md: what each stand-in can do, and the test that shows it.

`make lint` runs it with `--check`. A line without a test fails. A line keeps its test as long as that test shows it, so
that the page does not change with every new test.
"""

from __future__ import annotations

import re
import sys

from docs.capabilities import evidence, inventory
from foundation.profile import ROOT

PAGE = ROOT / "docs" / "capabilities.md"


def page(now: str = "") -> tuple[str, list[str]]:
    """The page, and the names of lines without a test. ``now`` is the present page."""
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
    """The name and file of each line's test, by table, name and state."""
    return {
        (table.partition("\n")[0], row[1], row[2]): (row[3], row[4])
        for table in page.split("\n## ")[1:]
        for row in re.finditer(r"^\| `(.+)` \| (.+) \| \[(.+)\]\(\.\./(.+)\) \|$", table, re.MULTILINE)
    }


_HEAD = """# Capabilities of the stand-ins

`make capabilities` generates this page from the code; `make lint` checks that it is current. Each line names a test
that uses it. In containers the REST proxy and Kafka Connect are Confluent's own, with everything that they can do:
their tables describe the stand-ins that run without Docker. MySQL, Kafka, LocalStack, Spark, Delta and Airflow are the
real software and have no table.

- **real**: the real software does the work; only the way to it is ours.
- **stand-in**: our code behaves as the real one; the folder's README says where it differs.
- **accepted without effect**: accepted, so that what runs on AWS runs here too, but nothing happens.
- **refused**: an error that says so. Every call and option that is not listed is refused, too."""


def main() -> None:
    """Write the page, or with --check compare it; exits with 1 if it is outdated or a line has no test."""
    now = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    text, without = page(now)
    for name in without:
        print(f"{name}: no test uses it: write one, then run `make capabilities`")
    if sys.argv[1:] == ["--check"]:
        if text != now:
            print("docs/capabilities.md is outdated: run `make capabilities`")
            sys.exit(1)
    else:
        PAGE.write_text(text, encoding="utf-8")
    sys.exit(1 if without else 0)


if __name__ == "__main__":
    main()
