"""What people see: tables of services and hops, sizes and durations in words."""

from __future__ import annotations

import sys

from rich import box
from rich.console import Console
from rich.table import Table

from pinflow.counts import Counts
from pinflow.profile import Profile
from pinflow.stack.native import Health

# A pipe or a log has no width of its own: tables there are as wide as they need.
console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
_COLOURS = {"ready": "green", "starting": "yellow", "stopped": "dim", "failed": "red"}


def services(health: list[Health]) -> None:
    """A line a service: state, memory, uptime, what it is; then why one is not ready."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("service", "state"):
        table.add_column(column)
    for column in ("pid", "memory", "up"):
        table.add_column(column, justify="right")
    table.add_column("what it is")
    for one in health:
        what = one.title + (" — a stand-in" if one.stand_in and "stand-in" not in one.title else "")
        table.add_row(
            one.name,
            f"[{_COLOURS[one.state]}]{one.state}[/]",
            str(one.pid or ""),
            size(one.memory) if one.memory else "",
            duration(one.seconds) if one.pid else "",
            what,
        )
    console.print(table)
    total = sum(one.memory for one in health)
    console.print(f"memory together: {size(total)}")
    for one in health:
        if one.detail:
            console.print(f"[{_COLOURS[one.state]}]{one.name}: {one.detail}[/]", markup=True)


def counts(found: Counts) -> None:
    """A line a topic, from MySQL to the cleaned table, and whether the hops agree."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("topic", no_wrap=True)
    for column in (
        "rows in MySQL",
        "records in Kafka",
        "of these sunk",
        "objects in S3",
        "records in S3",
        "posts in S3",
    ):
        table.add_column(column, justify="right")
    table.add_column("rows in table", justify="right")
    for topic in found.topics:
        numbers = (
            topic.source_rows,
            topic.records,
            topic.landed,
            topic.objects,
            topic.lines,
            topic.posts,
            topic.rows,
        )
        table.add_row(topic.name, *("—" if n is None else f"{n:,}" for n in numbers))
    console.print(table)
    quarantined = "—" if found.quarantined is None else f"{found.quarantined:,}"
    console.print(f"quarantined rows: {quarantined}   dead letters: {found.dead_letters:,}")
    differences = found.disagreements()
    for difference in differences:
        console.print(f"[yellow]{difference}[/]")
    if not differences:
        console.print("[green]all hops agree[/]")


def places(profile: Profile) -> None:
    """Where everything is: addresses, names, directories."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_header=False)
    for what, where in (
        ("API stage", profile.api.invoke_url),
        ("MySQL", profile.database.url),
        ("Kafka", profile.kafka.bootstrap_servers),
        ("REST proxy", f"{profile.rest_proxy.url}/topics"),
        ("S3 sink", f"{profile.connect.url}/connectors/{profile.connect.connector}/status"),
        ("S3 objects", f"s3://{profile.storage.bucket}/topics/ at {profile.aws.endpoint_url or 'AWS'}"),
        ("Spark Connect", profile.spark.remote),
        ("tables", f"{profile.uid}_pin, _geo, _user, _q1 … _q8, _quarantine"),
        ("state and logs", str(profile.home) if profile.stack else "—"),
    ):
        table.add_row(what, where)
    console.print(table)


def size(count: int) -> str:
    """Bytes in words.

    >>> size(300 * 2**20)
    '300 MB'
    """
    return f"{count / 2**30:.1f} GB" if count >= 2**30 else f"{count / 2**20:.0f} MB"


def duration(seconds: float) -> str:
    """Seconds in words.

    >>> duration(3700)
    '1 h 01 min'
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = int(seconds // 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
