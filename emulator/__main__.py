"""`python -m emulator batch|stream`: post rows of the source database through API Gateway to Kafka or Kinesis."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, Literal, cast

import click

from emulator.authorization import authorization
from emulator.batch import KafkaRestWire
from emulator.delivery import Limits
from emulator.guard import confirm
from emulator.posting import Plan
from emulator.run import Route, emulate
from emulator.stream import LONGEST_KEY, MOST_RECORDS, KinesisWire
from emulator.topics import require_topics
from foundation import changes
from foundation.errors import PinflowError
from foundation.profile import load

INTERRUPTED = 130


def _rate(context: click.Context, option: click.Parameter, value: str) -> float | Literal["script", "max"]:
    """Posts per second, or one of the words `script` and `max`."""
    if value in ("script", "max"):
        return cast(Literal["script", "max"], value)
    with suppress(ValueError):
        if 0 < (rate := float(value)) < float("inf"):
            return rate
    raise click.BadParameter(f"{value!r} is neither posts per second nor script nor max")


def _rows(context: click.Context, option: click.Parameter, value: str | None) -> tuple[int, int] | None:
    """A range of row numbers FIRST:LAST, both included."""
    if value is None:
        return None
    first, _, last = value.partition(":")
    if first.isdecimal() and last.isdecimal() and int(first) <= int(last):
        return int(first), int(last)
    raise click.BadParameter(f"{value!r} is not FIRST:LAST, such as 0:11153")


def _partition_key(context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    if value is not None and not 1 <= len(value) <= LONGEST_KEY:
        raise click.BadParameter(f"it has {len(value)} characters; Kinesis takes 1 to {LONGEST_KEY}")
    return value


def _routes(context: click.Context, option: click.Parameter, value: str) -> list[str]:
    """One route or several, each once: `batch`, `stream`, `batch,stream`."""
    routes = list(dict.fromkeys(value.split(",")))
    if unknown := [route for route in routes if route not in ("batch", "stream")]:
        raise click.BadParameter(f"{unknown[0]!r} is neither batch nor stream")
    return routes


@click.group()
def main() -> None:
    """Emulate people posting: send rows of the source database as the well-known script sends them."""


def _posts(to: str) -> Callable[[Callable[..., None]], click.Command]:
    """A command with all options; `to` is the default of --to."""
    options = [
        click.option("--profile", default="local", envvar="PROFILE", show_default=True,
                     help="Name or path of a profile."),
        click.option("--to", default=to, show_default=True, metavar="TO", callback=_routes,
                     help="Where to: batch, stream, or batch,stream."),
        click.option("--count", default=500, show_default=True, type=click.IntRange(0),
                     help="Posts to send; 0: until Ctrl-C."),
        click.option("--rate", default="max", show_default=True, metavar="RATE", callback=_rate,
                     help="Posts per second, script (its own pauses) or max."),
        click.option("--order", default="script", show_default=True, type=click.Choice(["script", "sequential"]),
                     help="Rows as the script draws them, or each row once."),
        click.option("--seed", default=100, show_default=True, help="Seed of the draws."),
        click.option("--start", default=0, show_default=True, type=click.IntRange(0),
                     help="Skip so many posts of the sequence."),
        click.option("--rows", metavar="ROWS", callback=_rows, help="Only the row numbers FIRST:LAST, both included."),
        click.option("--batch-size", default=500, show_default=True, type=click.IntRange(1),
                     help="Records per request; at most 500 to a stream, where 1 uses PutRecord."),
        click.option("--batch-bytes", default=1_000_000, show_default=True, type=click.IntRange(1, 10_000_000),
                     help="Bytes per request; a larger record goes alone."),
        click.option("--concurrency", default=1, show_default=True, type=click.IntRange(1, 64),
                     help="Requests in flight per topic or stream; 1 keeps the order."),
        click.option("--partition-key", metavar="KEY", callback=_partition_key,
                     help="Partition key of every record in the streams; by default its row's number."),
        click.option("--give-up-after", default=120.0, show_default=True, type=click.FloatRange(0),
                     help="Seconds of failures before records go to the spill file."),
        click.option("--timeout", default=35.0, show_default=True, type=click.FloatRange(0.1),
                     help="Seconds to wait for one answer; API Gateway's own limit is 29."),
        click.option("--yes", is_flag=True, help="Do not ask before posting to another machine, such as AWS."),
        click.option("--quiet", is_flag=True, help="Do not print progress."),
        click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON."),
    ]  # fmt: skip

    def command(function: Callable[..., None]) -> click.Command:
        for option in reversed(options):
            function = option(function)
        return main.command()(function)

    return command


@_posts("batch")
def batch(**options: Any) -> None:
    """Post through API Gateway and the REST proxy to Kafka.

    Exit status: 0 all delivered, 1 something failed (see the spill file), 130 after Ctrl-C.
    """
    _post(**options)


@_posts("stream")
def stream(**options: Any) -> None:
    """Post through API Gateway to Kinesis; `--to batch,stream` sends each post both ways.

    Exit status: 0 all delivered, 1 something failed (see the spill file), 130 after Ctrl-C.
    """
    _post(**options)


def _post(
    profile: str,
    to: list[str],
    batch_size: int,
    batch_bytes: int,
    concurrency: int,
    partition_key: str | None,
    give_up_after: float,
    timeout: float,
    yes: bool,
    quiet: bool,
    as_json: bool,
    **plan_options: Any,
) -> None:
    limits = Limits(batch_size, batch_bytes, concurrency, give_up_after, timeout)
    try:
        where, plan = load(profile), Plan(**plan_options)
        if changed := changes.notice(where):
            click.secho(changed, fg="yellow", err=True)
        if not yes:
            confirm(where, plan)
        auth = authorization(where)
        routes = {
            "batch": Route(
                KafkaRestWire(where.api.invoke_url), where.topics, limits, auth, lambda: require_topics(where, auth)
            ),
            "stream": Route(
                KinesisWire(where.api.invoke_url, partition_key),
                where.streams,
                replace(limits, batch_size=min(batch_size, MOST_RECORDS)),
                auth,
            ),
        }
        outcome = emulate(where, [routes[way] for way in to], plan, quiet=quiet)
    except PinflowError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
    except click.Abort:
        click.echo("nothing was posted", err=True)
        sys.exit(INTERRUPTED)
    summary = outcome.summary
    click.echo(json.dumps(summary.as_dict()) if as_json else str(summary))
    if outcome.error:
        click.echo(f"error: {outcome.error}", err=True)
    sys.stdout.flush()
    status = INTERRUPTED if summary.interrupted else 1 if summary.failures or outcome.error else 0
    if outcome.abandoned:
        os._exit(status)  # threads that wait for an answer would keep the process running
    sys.exit(status)


if __name__ == "__main__":
    main(prog_name="python -m emulator")
