"""Confirm before posts leave this machine: what is posted to AWS costs money."""

from __future__ import annotations

import sys

import click

from emulator.posting import Plan
from foundation.aws import account
from foundation.errors import PinflowError
from foundation.loopback import is_local
from foundation.profile import Profile
from foundation.registry import TABLES


def confirm(profile: Profile, plan: Plan) -> None:
    """Print account, region, address and rate, and ask; do nothing if the API is on this machine.

    Raises click.Abort if the answer is no, PinflowError if stdin is not a terminal.
    """
    if is_local(profile.api.invoke_url):
        return
    posts = f"{plan.count:,} posts" if plan.count else "posts until Ctrl-C"
    pace = plan.rate if isinstance(plan.rate, str) else f"{plan.rate:g} posts/s"
    click.echo(
        f"to      {profile.api.invoke_url}\naccount {account(profile)}\nregion  {profile.aws.region}\n"
        f"posts   {posts}, {len(TABLES)} records each\nrate    {'as fast as possible' if pace == 'max' else pace}",
        err=True,
    )
    if not sys.stdin.isatty():
        raise PinflowError("confirmation required, but stdin is not a terminal", "pass --yes")
    click.confirm("post?", abort=True, err=True)
