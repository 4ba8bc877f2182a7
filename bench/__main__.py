"""`make bench`: prints every figure with the machine's description, as Markdown; `ARGS=a,b` for some of them."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable

from bench import batch_job, ingest, machine, notebooks, orchestration, producing, streams
from foundation.loopback import bypass_proxies
from pinflow.report import size
from pinflow.stack.native import NativeStack
from tests.stack import TestStack


def main() -> None:
    """Start a stack of its own, measure, print, and delete it again."""
    bypass_proxies()
    wanted = sys.argv[1].split(",") if len(sys.argv) > 1 else list("darbcnes")
    print(f"Measured on {machine.describe()}.\n", flush=True)
    stack = TestStack.create("bench")
    try:
        first = stack.pinflow("up").stderr
        parts: dict[str, Callable[[], None]] = {
            "d": lambda: start_up(stack, first),
            "a": lambda: throughput(stack),
            "r": lambda: rest_proxy(stack),
            "b": lambda: lag(stack),
            "c": lambda: batch(stack),
            "n": lambda: notebook(stack),
            "e": lambda: airflow(stack),
            "s": lambda: stream(stack),
        }
        for part in wanted:
            parts[part]()
    finally:
        stack.pinflow("reset", "--yes")


def throughput(stack: TestStack) -> None:
    """(a) until visible in S3, with and without batching."""
    ours, plain = ingest.all_posts(stack), ingest.one_by_one(stack)
    show("| from MySQL until visible in S3 | records | sent after | visible after | records/s |", "---|--:|--:|--:|--:")
    for name, figure in (("`make emulate-batch`", ours), ("the well-known script, without its sleeps", plain)):
        show(f"| {name} | {figure.records:,} | {figure.sent:.1f} s | {figure.visible:.1f} s | {figure.rate:,.0f} |")
    show(f"\nThat is {ours.rate / plain.rate:.0f} times as many.\n")


def rest_proxy(stack: TestStack) -> None:
    """(r) the REST proxy alone."""
    show("| through the REST proxy alone | records/s | its CPU a record |", "---|--:|--:")
    for name, batch, clients in (
        ("500 records a request, one client", 500, 1),
        ("500 records a request, 4 clients", 500, 4),
        ("one record a request, one client", 1, 1),
        ("one record a request, 8 clients", 1, 8),
    ):
        found = producing.measure(stack, batch, clients)
        show(f"| {name} | {found.records:,.0f} | {found.cpu:,.0f} µs |")
    show("")


def lag(stack: TestStack) -> None:
    """(b) post to object."""
    p50, p95 = ingest.lag(stack)
    show("| from post to object, at 10 posts/s | p50 | p95 |", "---|--:|--:", f"| | {p50:.2f} s | {p95:.2f} s |\n")


def batch(stack: TestStack) -> None:
    """(c) the job at three sizes, DuckDB beside it, and the naive way."""
    show("| S3 to answers | records | `make batch`, warm | DuckDB | time against 1× |", "---|--:|--:|--:|--:")
    first = 0.0
    for scale in (1, 10, 100):
        time = batch_job.at_scale(stack, scale)
        first = first or time.spark
        numbers = f"{time.spark:.1f} s | {time.duckdb:.2f} s | {time.spark / first:.1f}"
        show(f"| {scale}× | {33462 * scale:,} | {numbers} |")
    naive = batch_job.naive(stack)
    show(f"| 1×, one object a record, inferred schema, only read and counted | 33,462 | {naive:.0f} s | | |\n")


def notebook(stack: TestStack) -> None:
    """(n) an empty notebook, and four at once."""
    cost = notebooks.measure(stack)
    show("| an empty notebook, from submit to TERMINATED | four at once, memory beyond the Spark server |", "---:|--:")
    show(f"| {cost.seconds:.1f} s | {size(cost.memory_of_four)} |\n")


def airflow(stack: TestStack) -> None:
    """(e) upload to triggerable; what a DAG adds to its notebooks."""
    fastest, *_, slowest = orchestration.until_triggerable(stack)
    show(f"From the upload of a DAG file until it can be triggered: {fastest:.1f} to {slowest:.1f} s.\n")
    show("| triggered DAG | whole | notebooks | Airflow adds |", "---|--:|--:|--:")
    timed = {"one notebook that sleeps 3 s": orchestration.short_notebook, "the batch": orchestration.batch}
    for name, measure in timed.items():
        time = measure(stack)
        show(f"| {name} | {time.whole:.1f} s | {time.notebooks:.1f} s | {time.whole - time.notebooks:.1f} s |")


def stream(stack: TestStack) -> None:
    """(s) the streams, with the plain ways beside them."""
    stack.pinflow("stream")
    show("| from post to row, three tables | p50 | p95 |", "---|--:|--:")
    p50, p95 = streams.lag(stack, 10)
    show(f"| 10 posts/s, the first 40 s after the start | {p50:.2f} s | {p95:.2f} s |")
    streams.lag(stack, 10, 60)  # the JVM compiles what it does often
    for rate in (10, 100):
        p50, p95 = streams.lag(stack, rate)
        show(f"| {rate} posts/s | {p50:.2f} s | {p95:.2f} s |")
    before = streams.memory(stack)
    ours, plain = streams.sustained(stack), streams.one_by_one(stack)
    show("\n| records from MySQL, posted all at once | records/s |", "---|--:")
    show(f"| `make emulate-stream`, until in the tables | {ours:,.0f} |")
    show(f"| the well-known script, without its sleeps, until accepted | {plain:,.0f} |")
    behind = streams.catch_up(stack)
    show(f"\n| a backlog of {streams.BACKLOG:,} records | records/s |", "---|--:")
    show(f"| read, cleaned, in the tables | {behind.ours:,.0f} |", f"| only read, with boto3 | {behind.bare:,.0f} |")
    after = streams.memory(stack)
    show(f"\nSpark, workspace and notebooks held {size(before)} before these two and {size(after)} after.\n")


def start_up(stack: TestStack, first: str) -> None:
    """(d) seconds to ready and memory of each service; ``first`` is what the first `up` said."""
    stack.pinflow("down")
    second = stack.pinflow("up").stderr
    show("| service | first start | later start | memory |", "---|--:|--:|--:")
    times = [dict(re.findall(r"^(\w+) +ready after ([\d.]+) s", text, re.MULTILINE)) for text in (first, second)]
    health = NativeStack(stack.profile).health()
    for one in health:
        show(f"| {one.name} | {times[0].get(one.name)} s | {times[1].get(one.name)} s | {size(one.memory)} |")
    whole = [re.findall(r"everything is ready after ([\d.]+) s", text)[0] for text in (first, second)]
    show(f"| all | {whole[0]} s | {whole[1]} s | {size(sum(one.memory for one in health))} |\n")


def show(*lines: str) -> None:
    """Lines of Markdown, seen at once."""
    for line in lines:
        print(line if line.startswith("|") or not line.startswith("---") else f"|{line}|", flush=True)


if __name__ == "__main__":
    main()
