"""`python -m emulator batch`: people post, and their posts go through API Gateway to Kafka."""

from __future__ import annotations

import json
import os
import sys
from typing import Any, Literal, cast

import click

from emulator.batch import KafkaRestWire
from emulator.delivery import Limits
from emulator.posting import Plan
from emulator.run import emulate
from pinflow.errors import PinflowError
from pinflow.profile import load

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


@click.group()
def main() -> None:
    """People posting: rows of the source database, sent as the well-known script sends them."""


@main.command()
@click.option("--profile", default="local", envvar="PROFILE", show_default=True, help="Name or path of a profile.")
@click.option("--count", default=500, show_default=True, type=click.IntRange(0), help="Posts; 0: until Ctrl-C.")
@click.option("--rate", default="max", show_default=True, type=RateType(), help="Posts per second, script or max.")
@click.option("--order", default="script", show_default=True, type=click.Choice(["script", "sequential"]))
@click.option("--seed", default=100, show_default=True, help="Seed of the sequence.")
@click.option("--start", default=0, show_default=True, type=click.IntRange(0), help="Where in the sequence to begin.")
@click.option("--rows", type=RowsType(), help="Only the row numbers FIRST:LAST, both included.")
@click.option("--batch-size", default=500, show_default=True, type=click.IntRange(1), help="Records per request.")
@click.option("--batch-bytes", default=1_000_000, show_default=True, type=click.IntRange(1, 10_000_000),
              help="Bytes per request; a larger record goes alone.")  # fmt: skip
@click.option("--concurrency", default=1, show_default=True, type=click.IntRange(1, 64),
              help="Requests in flight per topic; 1 keeps each topic's order.")  # fmt: skip
@click.option("--give-up-after", default=120.0, show_default=True, type=click.FloatRange(0),
              help="Seconds of failures before records go to the spill file.")  # fmt: skip
@click.option("--timeout", default=35.0, show_default=True, type=click.FloatRange(0.1),
              help="Seconds to wait for one answer; API Gateway itself ends at 29.")  # fmt: skip
@click.option("--quiet", is_flag=True, help="No progress.")
@click.option("--json", "as_json", is_flag=True, help="The summary as JSON.")
def batch(
    profile: str,
    batch_size: int,
    batch_bytes: int,
    concurrency: int,
    give_up_after: float,
    timeout: float,
    quiet: bool,
    as_json: bool,
    **plan: Any,
) -> None:
    """Post through API Gateway and the REST proxy to Kafka.

    Exit status: 0 all delivered, 1 something failed (see the spill file), 130 after Ctrl-C.
    """
    limits = Limits(batch_size, batch_bytes, concurrency, give_up_after, timeout)
    try:
        where = load(profile)
        wire = KafkaRestWire(where.api.invoke_url)
        outcome = emulate(where, wire, where.topics, Plan(**plan), limits, quiet=quiet)
    except PinflowError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
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
