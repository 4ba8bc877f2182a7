"""Tables for the terminal; sizes and durations as text."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from foundation.profile import Profile
from foundation.registry import QUESTIONS, TABLES

if TYPE_CHECKING:
    # These import clients of AWS, Kafka and Databricks, which take seconds.
    from pinflow.account import Account
    from pinflow.batch import Answer
    from pinflow.cloudformation.stack import Change
    from pinflow.deploy.difference import Difference
    from pinflow.doctor.finding import Finding
    from pinflow.size.facts import Fact, Facts
    from pinflow.size.model import Load, Plan
    from pinflow.stack.health import Health
    from pinflow.stream import Comparison, StreamStatus

# A pipe or a log has no width, so tables get enough.
console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
SHOWN = 10
"""Rows to print of an answer."""
_COLOURS = {
    "ready": "green",
    "running": "green",
    "starting": "yellow",
    "waiting": "yellow",
    "stopped": "dim",
    "failed": "red",
}


def services(health: list[Health]) -> None:
    """A line per service: state, memory, uptime, title; then the details of those that are not ready."""
    table = _table("service", "state", "> pid", "> memory", "> up", "what it is")
    table.columns[-1].no_wrap = False
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
    console.print(f"total memory: {size(total)}")
    for one in health:
        if one.detail:
            colour = "yellow" if one.state == "ready" else _COLOURS[one.state]
            console.print(Text(f"{one.name}: {one.detail}", style=colour))


def account(found: Account) -> None:
    """Two tables with a line per topic, from MySQL to S3 and from S3 to the cleaned table; then what does not match."""
    way_in = _numbers(
        ("rows in MySQL", "posted", "in Kafka", "objects", "in S3", "dead letters", "nulls", "not yet in S3", "lost"),
        (
            (t.name, t.source_rows, t.posted, t.in_kafka, t.objects, t.in_s3, t.dead_letters, t.nulls, t.late, t.lost)
            for t in found.topics
        ),
    )
    console.print(way_in)
    if any(topic.lines is not None for topic in found.topics):
        way_on = _numbers(
            ("records in S3", "rows in table", "duplicates", "quarantined", "not yet in table"),
            ((t.name, t.lines, t.rows, t.duplicates, t.quarantined, t.waiting) for t in found.topics),
        )
        console.print(way_on)
    for hop, reason in found.unknown.items():
        console.print(f"[yellow]{hop}: {escape(reason)}[/]", soft_wrap=True)
    for text in found.notes:
        console.print(escape(text), soft_wrap=True)
    for text in found.pending:
        console.print(f"[yellow]{escape(text)}[/]", soft_wrap=True)
    for text in found.broken:
        console.print(f"[red]{escape(text)}[/]", soft_wrap=True)
    if not (found.unknown or found.pending or found.broken):
        agreed = "[green]all hops agree: every record is accounted for[/]"
        console.print(agreed if found.is_complete else "counted, not compared: on AWS objects and tables are not read")


def wrong(what: str, fix: str) -> None:
    """A problem and its fix."""
    console.print(Text(what, style="red"), Text(f"  → {fix}"), sep="\n", soft_wrap=True)


def stream_problems(found: Sequence[StreamStatus]) -> None:
    """Why a stream's query failed, and where a stream's numbers do not match."""
    for reason in dict.fromkeys(one.reason for one in found if one.reason):
        wrong(f"the streams' last run failed: {reason}", "make stream restarts it; make logs S=databricks")
    for one in found:
        if one.missing:
            console.print(Text(f"{one.name}: {one.missing}", style="red"), soft_wrap=True)


def _numbers(columns: Sequence[str], rows: Iterable[tuple[str, *tuple[int | None, ...]]]) -> Table:
    """A line per topic; an unknown number is a dash."""
    table = _table("topic", *(f"> {column}" for column in columns))
    for name, *numbers in rows:
        table.add_row(name, *("—" if n is None else f"{n:,}" for n in numbers))
    return table


def streams(found: Sequence[StreamStatus]) -> Table:
    """A line per stream: from Kinesis to its table."""
    numbers = ("records read", "records/s", "records behind", "seconds behind", "rows in table", "quarantined")
    table = _table("stream", "query", *(f"> {column}" for column in numbers))
    for one in found:
        behind = ["—", "—"] if one.lag is None else ["—", f"{one.lag.seconds:.1f}"]
        if one.lag is not None and one.lag.records is not None:
            behind[0] = f"{one.lag.records:,}"
        rows = ("—" if n is None else f"{n:,}" for n in (one.rows, one.quarantined))
        state = f"[{_COLOURS[one.state]}]{one.state}[/]"
        table.add_row(one.name, state, f"{one.read:,}", f"{one.rows_per_second:,.1f}", *behind, *rows)
    return table


def comparison(found: Mapping[str, Comparison]) -> None:
    """A line per table: the posts that both layers have, and whether they agree."""
    table = _table("table", "> posts in both", "> different", "> only in the batch", "> only in the stream")
    for name, one in found.items():
        table.add_row(name, *(f"{n:,}" for n in (one.both, one.differing, one.only_batch, one.only_stream)))
    console.print(table)
    if not all(one.both for one in found.values()):
        console.print("[red]no post is in both layers: run make emulate-batch and make emulate-stream[/]")
    elif any(one.differing for one in found.values()):
        console.print("[red]the layers disagree: some posts differ[/]")
    else:
        console.print("[green]both layers agree[/]")


def live(view: Callable[[], RenderableType], once: bool, every: float = 2.0) -> None:
    """Print a view; on a terminal, refresh it in place until Ctrl-C."""
    if once or not console.is_terminal:
        console.print(view())
        return
    with Live(view(), console=console, auto_refresh=False) as shown:
        while True:
            try:
                time.sleep(every)
                shown.update(view(), refresh=True)
            except KeyboardInterrupt:
                return


def answers(uid: str, found: Mapping[str, Answer]) -> None:
    """The first rows of each answer."""
    for question, answer in found.items():
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=f"{uid}_{question}", title_justify="left")
        for number, column in enumerate(answer.columns):
            numeric = bool(answer.rows) and isinstance(answer.rows[0][number], int | float)
            table.add_column(column, justify="right" if numeric else "left")
        for row in answer.rows[:SHOWN]:
            table.add_row(*("" if value is None else Text(str(value)) for value in row))
        if len(answer.rows) > SHOWN:
            table.caption = f"… {len(answer.rows) - SHOWN:,} more"
            table.caption_justify = "left"
        console.print(table)


def findings(found: list[Finding]) -> None:
    """The doctor's findings by hop, with fixes."""
    marks = {"ok": "[green]ok     [/]", "failed": "[red]failed [/]"}
    marks |= {state: f"[yellow]{state}[/]" for state in ("unknown", "warning")}
    for hop, group in groupby(found, key=lambda finding: finding.hop):
        console.print(f"[bold]{hop}[/]")
        for one in group:
            console.print(f"  {marks[one.state]} {escape(one.tried)}: {escape(one.found)}", soft_wrap=True)
            if one.fix:
                console.print(f"          → {escape(one.fix)}", soft_wrap=True)
    bad = sum(one.state == "failed" for one in found)
    console.print(f"[red]{bad} of {len(found)} failed[/]" if bad else "[green]no problems found[/]")


def changes(found: Sequence[Change]) -> None:
    """A line per resource that CloudFormation would add, change or remove."""
    table = _table("", "resource", "type", "replaced")
    colours = {"Add": "green", "Modify": "yellow", "Remove": "red"}
    for one in found:
        replaced = {"True": "yes", "Conditional": "perhaps"}.get(one.replacement, "")
        table.add_row(f"[{colours.get(one.action, 'dim')}]{one.action.lower()}[/]", one.resource, one.kind, replaced)
    console.print(table)


def differences(found: Sequence[Difference], profile: Profile) -> None:
    """What a deployment would change: a line per place, and below it the diff."""
    colours = {"-": "red", "+": "green", "@": "cyan"}
    for one in found:
        new = one.before is None
        console.print(f"[{'green' if new else 'yellow'}]{'new    ' if new else 'changed'}[/] {escape(one.place)}")
        for line in one.lines(profile):
            console.print(Text(f"        {line}", style=colours.get(line[:1], "dim")), soft_wrap=True)


def sizing(found: Plan, load: Load, known: Facts) -> None:
    """A line per hop of what it needs at a rate; then what breaks first, the settings to change, and the sources."""
    sources = {need.bound.source: need.bound.date for need in found.needs}
    numbers = {source: Text(f"[{number}]") for number, source in enumerate(sources, 1)}
    table = _table("hop", "needs", "> load", "", "the most per unit", "source", "> holds now, posts/s", "> $/h")
    table.columns[4].no_wrap = False
    for need in found.needs:
        most = f"{_plain(need.bound.value)} {need.bound.unit}"
        holds = "—" if need.holds is None else f"{need.holds:,.0f}"
        arrives = f"{need.load:,.0f}" if need.load >= 100 else f"{need.load:.2f}"
        number, dollars = numbers[need.bound.source], f"{need.dollars:,.2f}"
        table.add_row(need.hop, need.needed, arrives, need.unit, most, number, holds, dollars)
    console.print(table)
    console.print(f"{load.posts:,g} posts/s cost {found.dollars:,.2f} $/h")
    console.print(f"planned so that at most {known.quota['utilisation'].value:.0%} of each unit is used")
    first = found.first
    console.print(f"with the present settings {first.hop!r} breaks first, above {first.holds:,.0f} posts/s")
    for need in found.needs:
        if need.excess:
            console.print(
                f"[yellow]{need.hop}: the default quota is too small: {escape(need.excess)}[/]", soft_wrap=True
            )
    changed = _table("where", "setting", "now", "needed")
    for column in changed.columns:
        column.no_wrap = False
    for one in found.changes:
        changed.add_row(one.where, one.key, one.now, Text(one.needed))
    console.print(changed)
    for source, day in sources.items():
        console.print(numbers[source], Text(f"{source}, {day}"), soft_wrap=True)
    doubtful = [name for name, price in known.price.items() if not price.confirmed]
    if doubtful:
        console.print(
            f"prices to be checked: {', '.join(doubtful)}; give yours with --price NAME=DOLLARS", soft_wrap=True
        )
    console.print("dates and notes of all numbers: --facts")


def facts(known: Facts) -> None:
    """Every number of the model with its unit, source and date."""
    sections: dict[str, Mapping[str, Fact]] = {
        "quota": known.quota,
        "measured": known.measured,
        "present": known.present,
        "price": known.price,
    }
    for section, found in sections.items():
        console.print(f"[bold]{section}[/]")
        for name, fact in found.items():
            console.print(Text(f"  {name}: {_plain(fact.value)} {fact.unit}"), soft_wrap=True)
            doubt = "" if fact.confirmed else "; to be checked"
            note = f"; {fact.note}" if fact.note else ""
            console.print(Text(f"      {fact.source}, {fact.date}{note}{doubt}", style="dim"), soft_wrap=True)
    console.print("[bold]brokers[/]")
    for broker in known.brokers:
        console.print(f"  {broker.name}: {broker.ingress:g} MB/s in, {broker.egress:g} MB/s out")
    console.print(Text(f"      {known.brokers_source}", style="dim"), soft_wrap=True)


def _plain(number: float) -> str:
    return f"{number:,.0f}" if number >= 1000 else f"{number:g}"


def places(profile: Profile) -> None:
    """Addresses, names and directories of all parts."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_header=False)
    for what, where in (
        ("API stage", profile.api.invoke_url),
        ("MySQL", profile.database.url),
        ("Kafka", profile.kafka.bootstrap_servers),
        ("REST proxy", f"{profile.rest_proxy.url}/topics"),
        ("S3 sink", f"{profile.connect.url}/connectors/{profile.connect.connector}/status"),
        ("S3 objects", f"s3://{profile.storage.bucket}/topics/ at {profile.aws.endpoint_url or 'AWS'}"),
        ("Kinesis streams", f"{', '.join(profile.streams)} at {profile.aws.endpoint_url or 'AWS'}"),
        ("notebooks, jobs, runs", profile.databricks.given_host or "—"),
        ("workspace token", f"databricks.token in {profile.path}"),
        ("Airflow", profile.airflow.url or "—"),
        ("Spark Connect", profile.spark.remote),
        ("batch tables", profile.uid + ", ".join(f"_{name}" for name in (*TABLES, *QUESTIONS, "quarantine"))),
        ("stream tables", profile.uid + ", ".join([*(f"_{name}_table" for name in TABLES), "_stream_quarantine"])),
        ("state and logs", str(profile.home) if profile.stack else "—"),
    ):
        table.add_row(what, where)
    console.print(table)


def _table(*columns: str) -> Table:
    """An empty table; numbers stand in columns that begin with ">"."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        number = column.startswith("> ")
        table.add_column(column.removeprefix("> "), justify="right" if number else "left", no_wrap=not number)
    return table


def size(count: int) -> str:
    """Bytes as text.

    >>> size(300 * 2**20)
    '300 MB'
    """
    return f"{count / 2**30:.1f} GB" if count >= 2**30 else f"{count / 2**20:.0f} MB"


def duration(seconds: float) -> str:
    """Seconds as text.

    >>> duration(3700)
    '1 h 01 min'
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = int(seconds // 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
