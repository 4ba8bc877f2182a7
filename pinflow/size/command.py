"""`pinflow size`: prints what the pipeline needs on AWS at a rate of posts."""

from __future__ import annotations

from math import nan
from typing import Any

import click

from foundation.profile import Profile
from pinflow import report
from pinflow.size.facts import FACTS

MOST_RECORDS = int(FACTS.quota["put_records"].value)
MOST_POSTS = 10_000_000
"""Beyond this rate the model says nothing: every account's quota is exceeded many times."""


class _Number(click.ParamType[float]):
    """A number above 0, at most ``most``."""

    name = "number"

    def __init__(self, most: float) -> None:
        self.most = most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            number = float(value)
        except ValueError:
            number = nan
        if not 0 < number <= self.most:
            self.fail(f"{value!r} is not a number above 0 and at most {self.most:,.0f}", param, ctx)
        return number


def _prices(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> dict[str, float]:
    """NAME=DOLLARS, several times."""
    found: dict[str, float] = {}
    for value in values:
        name, _, dollars = value.partition("=")
        try:
            found[name] = float(dollars)
        except ValueError:
            raise click.BadParameter(f"{value!r} is not NAME=DOLLARS, such as mcu=0.11") from None
        if not 0 <= found[name] < float("inf"):
            raise click.BadParameter(f"{value!r}: expected dollars from 0")
    return found


@click.command("size")
@click.option("--posts-per-second", "posts", type=_Number(MOST_POSTS), metavar="POSTS", help="the rate")
@click.option(
    "--records-per-request",
    default=MOST_RECORDS,
    show_default=True,
    type=click.IntRange(1, MOST_RECORDS),
    help="the most in a request; 1 if each post is sent alone",
)
@click.option(
    "--s3-seconds", default=60.0, show_default=True, type=_Number(86_400), help="seconds after which a record is in S3"
)
@click.option(
    "--days", default=1.0, show_default=True, type=_Number(3_650), help="days of records in S3, which each batch reads"
)
@click.option(
    "--batch-hours", default=1.0, show_default=True, type=_Number(24), help="hours in which the daily batch must end"
)
@click.option(
    "--spark-cores", default=2, show_default=True, type=click.IntRange(1, 100_000), help="cores of the cluster now"
)
@click.option(
    "--price", "prices", multiple=True, callback=_prices, metavar="NAME=DOLLARS", help="your price; repeatable"
)
@click.option("--facts", is_flag=True, help="print every number of the model with its source and date")
@click.pass_obj
def size(
    profile: Profile,
    posts: float | None,
    records_per_request: int,
    s3_seconds: float,
    days: float,
    batch_hours: float,
    spark_cores: int,
    prices: dict[str, float],
    facts: bool,
) -> None:
    """Print what the pipeline needs on AWS at a rate, where it breaks first, which settings to change, and the cost.

    Computed from quotas and measurements; nothing is started and AWS is not asked.
    """
    from pinflow.size.model import Load, plan
    from pinflow.size.present import settings

    known = FACTS.with_prices(prices)
    if facts:
        report.facts(known)
        return
    if posts is None:
        raise click.UsageError("Missing option '--posts-per-second'.")
    load = Load(posts, records_per_request, s3_seconds, days, batch_hours)
    report.sizing(plan(load, settings(profile, spark_cores), known), load, known)
