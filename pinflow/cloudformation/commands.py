"""`aws-plan`, `aws-up`, `aws-down`: the template's resources on AWS. They ask before changing anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from foundation.profile import Profile
from pinflow import report
from pinflow.confirmation import confirmed

if TYPE_CHECKING:
    # AWS's client takes half a second to import, which every other command would pay.
    from pinflow.cloudformation.stack import Change, Data, Resource, Stack

_yes = click.option("--yes", is_flag=True, help="do not ask for confirmation")


@click.command("aws-plan")
@click.pass_obj
def aws_plan(profile: Profile) -> None:
    """Show what aws-up would add, change and remove, without changing anything."""
    stack = _stack(profile)
    if changes := stack.plan():
        report.changes(changes)
    else:
        click.echo("nothing to change", err=True)


@click.command("aws-up")
@_yes
@click.pass_obj
def aws_up(profile: Profile, yes: bool) -> None:
    """Create or update the stack: shows the plan, asks, then prints every event."""
    stack = _stack(profile)

    def agreed(changes: list[Change]) -> bool:
        report.changes(changes)
        return yes or confirmed("make these changes?")

    outputs = stack.up(agreed, _say)
    if outputs is None:
        _say("nothing was changed")
        raise click.exceptions.Exit(1)
    for name, value in outputs.items():
        click.echo(f"{name:<16} {value}")
    _say("put InvokeUrl into the profile as api.invoke_url; then make doctor")


@click.command("aws-down")
@_yes
@click.option(
    "--delete",
    "data",
    multiple=True,
    type=click.Choice(["bucket", "dag-bucket", "streams"]),
    help="also delete this, with everything in it; repeatable",
)
@click.pass_obj
def aws_down(profile: Profile, yes: bool, data: tuple[Data, ...]) -> None:
    """Delete the stack. Buckets and streams stay, unless --delete names them."""
    stack = _stack(profile)
    resources = stack.resources()
    for resource in resources:
        _say(f"{'keep' if resource.stays else 'delete':<6} {resource.kind:<28} {_shown(resource)}")
    for what in data:
        _say(f"delete with all contents: {', '.join(_names(stack, what))}")
    if not resources and not data:
        _say(f"there is no stack {stack.name}")
        return
    if not yes and not confirmed("delete this?"):
        _say("nothing was deleted")
        raise click.exceptions.Exit(1)
    if resources:
        stack.down(_say)
    for what in data:
        stack.delete_data(what, _say)


def _stack(profile: Profile) -> Stack:
    """The profile's stack; says where it is."""
    from foundation.aws import account
    from pinflow.cloudformation.stack import Stack

    stack = Stack(profile)
    where = f"region {profile.aws.region}" + (f" at {profile.aws.endpoint_url}" if profile.aws.endpoint_url else "")
    _say(f"stack {stack.name}, account {account(profile)}, {where}")
    return stack


def _shown(resource: Resource) -> str:
    return f"{resource.resource} ({resource.name})" if resource.name else resource.resource


def _names(stack: Stack, what: Data) -> tuple[str, ...]:
    return stack.profile.streams if what == "streams" else (f"s3://{stack.bucket(what)}",)


def _say(text: str) -> None:
    click.echo(text, err=True)
