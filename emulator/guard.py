"""Before posts leave this machine: say where they go and ask once. What is posted on AWS costs money."""

from __future__ import annotations

import sys

import click

from emulator.posting import Plan
from foundation.aws import account
from foundation.errors import PinflowError
from foundation.loopback import is_local
from foundation.profile import Profile


def confirm(profile: Profile, plan: Plan) -> None:
    """Print account, region, address and rate, and ask; nothing where the API is on this machine.

    Raises click.Abort for a no, PinflowError where nobody is there to ask.
    """
    if is_local(profile.api.invoke_url):
        return
    posts = f"{plan.count:,} posts, three records each" if plan.count else "posts without end, three records each"
    pace = plan.rate if isinstance(plan.rate, str) else f"{plan.rate:g} posts/s"
    click.echo(
        f"to      {profile.api.invoke_url}\naccount {account(profile)}\nregion  {profile.aws.region}\n"
        f"posts   {posts}\nrate    {'as fast as possible' if pace == 'max' else pace}",
        err=True,
    )
    if not sys.stdin.isatty():
        raise PinflowError("posting to another machine needs a yes, and nobody is there to ask", "add --yes")
    click.confirm("post?", abort=True, err=True)
