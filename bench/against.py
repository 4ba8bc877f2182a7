"""`make bench ARGS="--against DIR"`: the figures of this checkout and of another one in turns, and their ratios.

On a busy machine only the ratio of two times that were measured one after the other means something. Each round runs
here, then there, on a fresh stack of that checkout; only one stack runs at a time. Commands are timed from outside, by
`make` in that checkout. Everything else is measured by this checkout's code, so that an older one needs none of it.
"""

from __future__ import annotations

import math
import os
import shlex
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from bench import batch_job, machine, orchestration, streams
from bench.table import row, table
from foundation.errors import PinflowError
from foundation.profile import ROOT
from tests.stack import TestStack

Figures = Iterator[tuple[str, str, float]]
"""Name, unit and value of each figure, in the order in which they are measured."""


@dataclass(frozen=True)
class Group:
    """Figures that are measured on the same stack, one after the other; no ``services``: all of them."""

    measure: Callable[[TestStack], Figures]
    services: Sequence[str] = ()


@dataclass(frozen=True)
class Figure:
    """The values of a figure, one a round; one checkout may have fewer, where a round failed."""

    unit: str
    here: list[float] = field(default_factory=list)
    there: list[float] = field(default_factory=list)

    def cells(self) -> tuple[str, str, str]:
        """Median here, median there, their ratio; in brackets the least and the most of the rounds."""
        each = [here / there for here, there in zip(self.here, self.there, strict=False)]
        ratio = "–"
        if each:
            middle = statistics.median(self.here) / statistics.median(self.there)
            ratio = f"{middle:.2f} ({min(each):.2f}–{max(each):.2f})"
        return _median(self.here, self.unit), _median(self.there, self.unit), ratio


def commands(stack: TestStack) -> Figures:
    """Commands that need no service."""
    for target in ("help", "where"):
        yield f"`make {target}`", "s", make(stack, target)


def spark(stack: TestStack) -> Figures:
    """Spark without any other service."""
    yield "Spark alone, ready", "s", make(stack, "up")


def start(stack: TestStack) -> Figures:
    """All services, on an empty directory and on one that has data."""
    yield "`make up`, first start", "s", make(stack, "up")
    make(stack, "down")
    yield "`make up`, later start", "s", make(stack, "up")


def demo(stack: TestStack) -> Figures:
    """The demo, from nothing and again, and what everything needs after the first."""
    yield "`make demo`, nothing running, no data", "s", make(stack, "demo")
    yield "memory of all services after it (PSS)", "MB", machine.memory(stack, *stack.services()) / 1e6
    yield "`make status`", "s", make(stack, "status")
    yield "`make demo`, everything up", "s", make(stack, "demo")


def batch(stack: TestStack) -> Figures:
    """The batch over every post of the source, and what Airflow adds to it."""
    make(stack, "up")
    make(stack, "emulate-batch", "--order sequential --count 11154 --rate max")
    make(stack, "batch")
    yield "`make batch`, warm, 33,462 records", "s", make(stack, "batch")
    dag = orchestration.batch(stack)
    # On the longest way through the DAG there are two tasks: a load, then the questions.
    yield "the batch by its DAG, beyond the notebooks, a task", "s", (dag.whole - dag.notebooks) / 2


def large(stack: TestStack) -> Figures:
    """The batch over 100 times the posts of the source."""
    make(stack, "up")
    yield "the batch, warm, 3,346,200 records", "s", batch_job.at_scale(stack, 100).spark


def stream(stack: TestStack) -> Figures:
    """The streams, beside a reader that writes nothing."""
    make(stack, "up")
    make(stack, "stream")
    yield from _lag(stack, 10, "10 posts/s, the first 40 s")
    streams.lag(stack, 10, 60)  # the JVM compiles what it does often
    used, began = machine.cpu(stack, *stack.services()), time.monotonic()
    yield from _lag(stack, 10, "10 posts/s")
    used = machine.cpu(stack, *stack.services()) - used
    yield "CPU of all services at 10 posts/s", "cores", used / (time.monotonic() - began)
    yield from _lag(stack, 100, "100 posts/s")
    yield "records posted all at once, until in the tables", "records/s", streams.sustained(stack)
    behind = streams.catch_up(stack)
    yield f"a backlog of {streams.BACKLOG:,}, until in the tables", "records/s", behind.ours
    yield f"a backlog of {streams.BACKLOG:,}, only read with boto3", "records/s", behind.bare


GROUPS = {
    "commands": Group(commands),
    "spark": Group(spark, ("spark",)),
    "start": Group(start),
    "demo": Group(demo),
    "batch": Group(batch),
    "large": Group(large),
    "streams": Group(stream),
}


def compare(there: Path, groups: Mapping[str, Group], rounds: int, here: Path = ROOT) -> bool:
    """Print the figures of both checkouts as Markdown, a table for each group; what is being measured, to stderr.

    A group that fails in a checkout ends there, and the next one begins: an older checkout may lack a command. False
    if any failed.
    """
    print(f"Here: {_version(here)}. There: {_version(there)}. Medians of {rounds}, in brackets the least and the most.")
    well = True
    for name, group in groups.items():
        found: dict[str, Figure] = {}
        try:
            for number in range(rounds):
                for side, root in (("here", here), ("there", there)):
                    _say(f"{name}, round {number + 1} of {rounds}, {side}")
                    with _fresh(root, group.services) as stack:
                        for title, unit, value in group.measure(stack):
                            _say(f"  {title}: {_digits(value)} {unit}")
                            getattr(found.setdefault(title, Figure(unit)), side).append(value)
        except Exception as error:
            _say(f"{name} failed {side}, in {root}: {error}")
            well = False
        finally:  # also after Ctrl-C: what took an hour is not lost
            table("figure", "here", "there", "here/there")
            for title, figure in found.items():
                row(title, *figure.cells())
    return well


def checkout(directory: Path) -> Path:
    """The root of another checkout; raises PinflowError unless it is one in which everything is installed."""
    root = directory.expanduser().resolve()
    if not all((root / file).is_file() for file in ("Makefile", "pinflow/cli.py", "profiles/local.yaml")):
        raise PinflowError(
            f"--against {directory}: {root} is not a checkout of pinflow",
            "make one beside this: git worktree add ../before COMMIT && make -C ../before install",
        )
    missing = [name for name in ("tool", "spark") if not (root / f".pinflow/envs/{name}/bin/python").exists()]
    if missing:
        raise PinflowError(
            f"--against {directory}: nothing is installed in {root}/.pinflow",
            f"make -C {shlex.quote(str(root))} install",
        )
    return root


def make(stack: TestStack, target: str, arguments: str = "") -> float:
    """Seconds that `make TARGET` takes in the stack's checkout; raises PinflowError with its last lines if it fails.

    Ctrl-C reaches all that it has started, and is raised again once that has exited.
    """
    # What this run itself was given (`make bench ARGS=… PYTHON=…`) reaches every make below it.
    own = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKEOVERRIDES", "PYTHON")}
    runtime = os.environ.get("RUNTIME") or "native"
    given = {"PROFILE": str(stack.profile.path), "RUNTIME": runtime, "ARGS": arguments}
    command, began = ["make", "--silent", "-C", str(stack.root), target], time.monotonic()
    with subprocess.Popen(
        command, env=own | given, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            output = process.communicate()[0]
        except BaseException:
            _end(process)
            raise
    if process.returncode:
        last = "\n".join(f"    {line}" for line in output.strip().splitlines()[-15:])
        raise PinflowError(f"make {target}: exit status {process.returncode}\n{last}")
    return time.monotonic() - began


def _end(process: subprocess.Popen[str]) -> None:
    """End a process that leads a session, and its children: as Ctrl-C does, after 20 s by force."""
    for number in (signal.SIGINT, signal.SIGKILL):
        with suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(process.pid, number)
            process.wait(20)
            return


@contextmanager
def _fresh(root: Path, services: Sequence[str]) -> Iterator[TestStack]:
    """An empty stack of a checkout, on free ports; it is stopped and deleted in the end, Ctrl-C or not."""
    stack = TestStack.create("against", services, root)
    try:
        yield stack
    finally:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C would leave services running
        done = stack.pinflow("reset", "--yes", check=False)
        if done.returncode:
            _say(f"not deleted, and perhaps still running: {stack.profile.home}\n{done.stderr}")
        signal.signal(signal.SIGINT, before)


def _lag(stack: TestStack, rate: int, name: str) -> Figures:
    for quantile, value in zip(("p50", "p95"), streams.lag(stack, rate), strict=True):
        yield f"from post to row, {name}, {quantile}", "s", value


def _version(root: Path) -> str:
    """The checkout's directory, and its commit if git knows it."""
    command = ["git", "-C", str(root), "log", "-1", "--format=%h"]
    commit = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return f"{root} at {commit}" if commit else str(root)


def _median(values: list[float], unit: str) -> str:
    if not values:
        return "–"
    return f"{_digits(statistics.median(values))} {unit} ({_digits(min(values))}–{_digits(max(values))})"


def _digits(value: float) -> str:
    """Three digits, or all before the point: 0.123, 44.3, 2,141."""
    decimals = 2 - math.floor(math.log10(abs(value))) if value else 0
    return f"{value:,.{min(max(decimals, 0), 3)}f}"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
