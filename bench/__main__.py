"""`make bench` prints every figure with the machine's description, as Markdown; `ARGS=a,b` prints some of them.

`ARGS="--against DIR"` compares this checkout with another one instead: see `against.py`.
"""

from __future__ import annotations

import argparse
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from bench import against, batch_job, ingest, machine, notebooks, orchestration, producing, streams
from bench.table import row, table
from foundation.errors import PinflowError
from foundation.loopback import bypass_proxies
from pinflow.report import size
from pinflow.stack.native import NativeStack
from tests.stack import TestStack

PARTS = "darbcnes"


def main() -> None:
    """Read the arguments, then measure this checkout alone or beside another one."""
    parser = argparse.ArgumentParser(prog="make bench", description="Measure what everything costs on this machine.")
    parser.add_argument("names", nargs="?", help=f"only these figures: some of {','.join(PARTS)}; with --against, some "
                        f"of {','.join(against.GROUPS)}")  # fmt: skip
    parser.add_argument("--against", type=Path, metavar="DIR", help="compare with the checkout in DIR, in turns")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured with --against [default: 5]")
    options = parser.parse_args()
    known = list(against.GROUPS if options.against else PARTS)
    names = options.names.split(",") if options.names else known
    if unknown := [name for name in names if name not in known]:
        parser.error(f"no figure {unknown[0]!r}: choose from {','.join(known)}")
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    bypass_proxies()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does: no stack is left running
    try:
        there = options.against and against.checkout(options.against)
        print(f"Measured on {machine.describe()}.\n", flush=True)
        if there is None:
            measure(names)
        elif not against.compare(there, {name: against.GROUPS[name] for name in names}, options.rounds):
            sys.exit(1)
    except PinflowError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        print("interrupted; the stack that was measured is stopped and deleted", file=sys.stderr)
        sys.exit(130)


def measure(names: Sequence[str]) -> None:
    """Start a stack of its own, measure, print, and delete it again."""
    stack = TestStack.create("bench")
    try:
        first = stack.pinflow("up").stderr
        parts = {
            "d": lambda: start_up(stack, first),
            "a": lambda: throughput(stack),
            "r": lambda: rest_proxy(stack),
            "b": lambda: lag(stack),
            "c": lambda: batch(stack),
            "n": lambda: notebook(stack),
            "e": lambda: airflow(stack),
            "s": lambda: stream(stack),
        }
        for name in names:
            parts[name]()
    finally:
        stack.pinflow("reset", "--yes")


def throughput(stack: TestStack) -> None:
    """(a) until visible in S3, with and without batching."""
    table("from MySQL until visible in S3", "records", "sent after", "visible after", "records/s")
    ours, plain = ingest.all_posts(stack), ingest.one_by_one(stack)
    for name, figure in (("`make emulate-batch`", ours), ("the well-known script, without its sleeps", plain)):
        row(name, f"{figure.records:,}", f"{figure.sent:.1f} s", f"{figure.visible:.1f} s", f"{figure.rate:,.0f}")
    print(f"\nThat is {ours.rate / plain.rate:.0f} times as many.")


def rest_proxy(stack: TestStack) -> None:
    """(r) the REST proxy alone."""
    table("through the REST proxy alone", "records/s", "its CPU per record")
    for name, batch, clients in (
        ("500 records per request, one client", 500, 1),
        ("500 records per request, 4 clients", 500, 4),
        ("one record per request, one client", 1, 1),
        ("one record per request, 8 clients", 1, 8),
    ):
        found = producing.measure(stack, batch, clients)
        row(name, f"{found.records:,.0f}", f"{found.cpu:,.0f} µs")


def lag(stack: TestStack) -> None:
    """(b) post to object."""
    table("from post to object, at 10 posts/s", "p50", "p95")
    row("", *(f"{seconds:.2f} s" for seconds in ingest.lag(stack)))


def batch(stack: TestStack) -> None:
    """(c) the job at three sizes, DuckDB beside it, and the naive way."""
    table("S3 to answers", "records", "`make batch`, warm", "DuckDB", "time against 1×")
    first = 0.0
    for scale in (1, 10, 100):
        time = batch_job.at_scale(stack, scale)
        first = first or time.spark
        figures = f"{time.spark:.1f} s", f"{time.duckdb:.2f} s", f"{time.spark / first:.1f}"
        row(f"{scale}×", f"{33462 * scale:,}", *figures)
    naive = batch_job.naive(stack)
    row("1×, one object per record, inferred schema, only read and counted", "33,462", f"{naive:.0f} s", "", "")


def notebook(stack: TestStack) -> None:
    """(n) an empty notebook, and four at once."""
    table("an empty notebook, from submit to TERMINATED", "four at once, memory beyond the Spark server")
    cost = notebooks.measure(stack)
    row(f"{cost.seconds:.1f} s", size(cost.memory_of_four))


def airflow(stack: TestStack) -> None:
    """(e) upload to triggerable; what a DAG adds to its notebooks."""
    fastest, *_, slowest = orchestration.until_triggerable(stack)
    print(f"\nA DAG file can be triggered {fastest:.1f} to {slowest:.1f} s after its upload.")
    table("triggered DAG", "whole", "notebooks", "Airflow adds")
    timed = {"one notebook that sleeps 3 s": orchestration.short_notebook, "the batch": orchestration.batch}
    for name, measure in timed.items():
        time = measure(stack)
        row(name, f"{time.whole:.1f} s", f"{time.notebooks:.1f} s", f"{time.whole - time.notebooks:.1f} s")


def stream(stack: TestStack) -> None:
    """(s) the streams, with the plain ways beside them."""
    stack.pinflow("stream")
    table("from post to row, three tables", "p50", "p95")
    row("10 posts/s, the first 40 s after the start", *(f"{seconds:.2f} s" for seconds in streams.lag(stack, 10)))
    streams.lag(stack, 10, 60)  # the JVM compiles what it does often
    for rate in (10, 100):
        row(f"{rate} posts/s", *(f"{seconds:.2f} s" for seconds in streams.lag(stack, rate)))
    before = machine.memory(stack, "spark", "databricks")
    table("records from MySQL, posted all at once", "records/s")
    row("`make emulate-stream`, until in the tables", f"{streams.sustained(stack):,.0f}")
    row("the well-known script, without its sleeps, until accepted", f"{streams.one_by_one(stack):,.0f}")
    table(f"a backlog of {streams.BACKLOG:,} records", "records/s")
    behind = streams.catch_up(stack)
    row("read, cleaned, in the tables", f"{behind.ours:,.0f}")
    row("only read, with boto3", f"{behind.bare:,.0f}")
    after = machine.memory(stack, "spark", "databricks")
    print(f"\nSpark, workspace and notebooks used {size(before)} before the last two tables and {size(after)} after.")


def start_up(stack: TestStack, first: str) -> None:
    """(d) seconds to ready and memory of each service; ``first`` is what the first `up` printed."""
    stack.pinflow("down")
    texts = (first, stack.pinflow("up").stderr)
    table("service", "first start", "later start", "memory")
    times = [dict(re.findall(r"^(\w+) +ready after ([\d.]+) s", text, re.MULTILINE)) for text in texts]
    health = NativeStack(stack.profile).health()
    for one in health:
        row(one.name, *(f"{ready.get(one.name)} s" for ready in times), size(one.memory))
    whole = [re.findall(r"everything is ready after ([\d.]+) s", text)[0] for text in texts]
    row("all", *(f"{seconds} s" for seconds in whole), size(sum(one.memory for one in health)))


if __name__ == "__main__":
    main()
