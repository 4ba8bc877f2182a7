"""`python -m emulator batch|stream`: people post, and their posts go through API Gateway to Kafka or Kinesis."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
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


class RateType(click.ParamType[float | Literal["script", "max"]]):
    """Posts per second, or one of the words `script` and `max`."""

    name = "rate"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | Literal["script", "max"]:
        """A positive number or a known word, else a usage error."""
        if value in ("script", "max"):
            return cast(Literal["script", "max"], value)
        try:
            rate = float(value)
        except ValueError:
            rate = 0.0
        if not 0 < rate < float("inf"):
            self.fail(f"{value!r} is neither posts per second nor script nor max", param, ctx)
        return rate


class RowsType(click.ParamType[tuple[int, int]]):
    """A range of row numbers FIRST:LAST, both included."""

    name = "rows"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Two row numbers, else a usage error."""
        first, colon, last = str(value).partition(":")
        if not (colon and first.isdecimal() and last.isdecimal() and int(first) <= int(last)):
            self.fail(f"{value!r} is not FIRST:LAST, such as 0:11153", param, ctx)
        return int(first), int(last)


class KeyType(click.ParamType[str]):
    """A partition key, as Kinesis takes it."""

    name = "key"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """1 to 256 characters, else a usage error."""
        if not 1 <= len(str(value)) <= LONGEST_KEY:
            self.fail(f"it has {len(str(value))} characters; Kinesis takes 1 to {LONGEST_KEY}", param, ctx)
        return str(value)


@click.group()
def main() -> None:
    """People posting: rows of the source database, sent as the well-known script sends them."""


class ToType(click.ParamType[list[str]]):
    """One way out or several: `batch`, `stream`, `batch,stream`."""

    name = "to"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[str]:
        """The different ways, in their order, else a usage error."""
        ways = list(dict.fromkeys(str(value).split(",")))
        if unknown := [way for way in ways if way not in ("batch", "stream")]:
            self.fail(f"{unknown[0]!r} is neither batch nor stream", param, ctx)
        return ways


def _posts(to: str) -> Callable[[Callable[..., None]], click.Command]:
    """A command with all options; `to` is where it sends unless told otherwise."""
    options = [
        click.option("--profile", default="local", envvar="PROFILE", show_default=True,
                     help="Name or path of a profile."),
        click.option("--to", default=to, show_default=True, type=ToType(), help="batch, stream, or batch,stream."),
        click.option("--count", default=500, show_default=True, type=click.IntRange(0),
                     help="Posts; 0: until Ctrl-C."),
        click.option("--rate", default="max", show_default=True, type=RateType(),
                     help="Posts per second, script or max."),
        click.option("--order", default="script", show_default=True, type=click.Choice(["script", "sequential"])),
        click.option("--seed", default=100, show_default=True, help="Seed of the sequence."),
        click.option("--start", default=0, show_default=True, type=click.IntRange(0),
                     help="Where in the sequence to begin."),
        click.option("--rows", type=RowsType(), help="Only the row numbers FIRST:LAST, both included."),
        click.option("--batch-size", default=500, show_default=True, type=click.IntRange(1),
                     help="Records per request; of a stream 500 at most, and 1 is PutRecord."),
        click.option("--batch-bytes", default=1_000_000, show_default=True, type=click.IntRange(1, 10_000_000),
                     help="Bytes per request; a larger record goes alone."),
        click.option("--concurrency", default=1, show_default=True, type=click.IntRange(1, 64),
                     help="Requests in flight per topic or stream; 1 keeps its order."),
        click.option("--partition-key", type=KeyType(),
                     help="Of every record in the streams; by default each has its row's number."),
        click.option("--give-up-after", default=120.0, show_default=True, type=click.FloatRange(0),
                     help="Seconds of failures before records go to the spill file."),
        click.option("--timeout", default=35.0, show_default=True, type=click.FloatRange(0.1),
                     help="Seconds to wait for one answer; API Gateway itself ends at 29."),
        click.option("--yes", is_flag=True, help="Do not ask before posting to another machine, such as AWS."),
        click.option("--quiet", is_flag=True, help="No progress."),
        click.option("--json", "as_json", is_flag=True, help="The summary as JSON."),
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
        os._exit(status)  # threads that wait for an answer would keep the process alive
    sys.exit(status)


if __name__ == "__main__":
    main(prog_name="python -m emulator")
