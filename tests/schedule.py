"""Which tests run side by side, in which order, and for how long: a pytest plugin.

`pytest -n 3` runs the tests of one group in one process, one after another, because they share servers; groups run side
by side, the longest first. How long each test took is kept in `.pinflow/tests/durations.json`. `--budget SECONDS` runs
the shortest groups first and skips each test that would not end in time.
"""

from __future__ import annotations

import fcntl
import json
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NOT_RUN = "not run: the time budget is used up"

# Folders whose tests share a server, and the name of the group. Elsewhere each module is a group of its own.
GROUPS: dict[str, str] = {
    "tests/contract/airflow": "airflow",
    "tests/contract/aws": "aws",
    "tests/contract/cluster": "spark",
    "tests/contract/connect": "kafka",
    "tests/contract/kafka": "kafka",
    "tests/contract/kinesis": "kinesis",
    "tests/contract/localstack": "localstack",
    "tests/contract/notebook": "spark",
    "tests/contract/rest_proxy": "kafka",
    "tests/contract/spark": "cluster",
    "tests/e2e": "e2e",
    "tests/unit/spark": "spark-unit",
}
UNKNOWN = {"e2e": 60.0, "long": 60.0, "": 1.0}
"""Seconds to expect of a test that never ran here: of a group, of one that is marked long, of any other."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--budget", type=float, metavar="SECONDS", help="skip each test that would not end in this time")


class Schedule:
    """The plugin's state; an xdist worker gets durations and start from the controller, so that all order alike."""

    def __init__(self, config: pytest.Config) -> None:
        given = getattr(config, "workerinput", {})
        self.is_worker = bool(given)
        self.file = config.rootpath / ".pinflow" / "tests" / "durations.json"
        self.expected: dict[str, float] = given.get("durations") or _read(self.file)
        self.started: float = given.get("started") or time.time()
        self.budget: float | None = config.getoption("--budget")
        self.distributed = self.is_worker or bool(config.getoption("numprocesses", default=None))
        self.taken: dict[str, float] = defaultdict(float)
        self.failed: set[str] = set()
        self.not_run: list[str] = []

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: pytest.Item) -> None:
        node.workerinput |= {"durations": self.expected, "started": self.started}  # type: ignore[attr-defined]

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> Any:
        """In place of `--dist loadgroup`, which has no effect: xdist 3.8 sets a field that pytest 9.2 does not read."""
        from xdist.scheduler.loadscope import LoadScopeScheduling  # type: ignore[import-untyped]

        class ByGroup(LoadScopeScheduling):  # type: ignore[misc]
            def _split_scope(self, nodeid: str) -> str:
                return group(nodeid)

        config.option.loadscopereorder = False
        return ByGroup(config, log)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        totals: dict[str, float] = defaultdict(float)
        for item in items:
            totals[group(item.nodeid)] += self.seconds(item)
        sign = 1 if self.budget else -1
        if self.budget or self.distributed:
            items.sort(key=lambda item: (sign * totals[group(item.nodeid)], group(item.nodeid)))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        if self.budget and time.time() + self.seconds(item) > self.started + self.budget:
            pytest.skip(NOT_RUN)

    def seconds(self, item: pytest.Item) -> float:
        """How long a test takes, or may take."""
        kind = "long" if item.get_closest_marker("long") else group(item.nodeid)
        return self.expected.get(item.nodeid, UNKNOWN.get(kind, UNKNOWN[""]))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        name = report.nodeid
        if report.skipped and isinstance(report.longrepr, tuple) and report.longrepr[2].endswith(NOT_RUN):
            self.not_run.append(name)
        if not report.passed:
            self.failed.add(name)
        self.taken[name] += report.duration

    def pytest_sessionfinish(self) -> None:
        if not self.is_worker:
            _keep(
                self.file, {name: round(seconds, 2) for name, seconds in self.taken.items() if name not in self.failed}
            )

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.not_run:
            terminalreporter.section(f"not run: more than the {self.budget:.0f} s that there were")
            for name in self.not_run:
                terminalreporter.line(f"{self.expected.get(name, UNKNOWN['long']):6.0f} s  {name}")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Schedule(config), "schedule")


def group(test: str) -> str:
    """The group of a test by its id: the one of its folder, else its module."""
    module = test.partition("::")[0]
    return next((name for folder, name in GROUPS.items() if module.startswith(f"{folder}/")), module)


def _read(file: Path) -> dict[str, float]:
    if not file.exists():
        return {}
    found: dict[str, float] = json.loads(file.read_text(encoding="utf-8"))
    return found


def _keep(file: Path, taken: dict[str, float]) -> None:
    """Add these durations to the file; two runs may end at the same moment."""
    with _locked(file.with_suffix(".lock")):
        text = json.dumps(_read(file) | taken, indent=0, sort_keys=True)
        file.with_suffix(".new").write_text(text, encoding="utf-8")
        file.with_suffix(".new").replace(file)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
