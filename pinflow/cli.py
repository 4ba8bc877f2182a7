"""The commands behind the Makefile. Exit status: 0 success, 1 failure, 130 after Ctrl-C."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from foundation import changes
from foundation.errors import PinflowError
from foundation.loopback import bypass_proxies
from foundation.profile import ROOT, Profile, is_dedicated, load
from pinflow import instance as instances
from pinflow import report
from pinflow.cloudformation.commands import aws_down, aws_plan, aws_up
from pinflow.confirmation import confirmed
from pinflow.size.command import size

# What a command needs beyond this it imports itself: the clients of AWS, Kafka and Databricks, SQLAlchemy and the
# services take seconds, which every other command would pay.
if TYPE_CHECKING:
    from foundation.databricks import Workspace
    from foundation.upload import Upload
    from pinflow.batch import Result
    from pinflow.deploy.difference import Difference

DEPLOYED = ("notebooks", "variables", "dags", "connector")
"""The parts of pinflow.deploy; a copy, because importing that takes two seconds."""

TRACKED_PROFILES = ("local",)
"""Profiles that belong to the project."""

profile_option = click.option(
    "--profile",
    "profile_name",
    envvar="PROFILE",
    default="local",
    show_default=True,
    help="a profile's name or file",
)


@click.group()
@profile_option
@click.pass_context
def cli(context: click.Context, profile_name: str) -> None:
    """Run the Pinterest data pipeline of AWS on one machine."""
    if context.invoked_subcommand != "profile":  # `profile init` writes the file that would be loaded
        context.obj = load(profile_name)
        warn_of_changes(context.invoked_subcommand or "", context.obj)


@cli.command()
@click.pass_obj
def up(profile: Profile) -> None:
    """Start every service and wait until all are ready."""
    from pinflow.stack import runtime

    began = time.monotonic()
    runtime.up(profile, say)
    say(f"everything is ready after {time.monotonic() - began:.1f} s")


@cli.command()
@click.pass_obj
def down(profile: Profile) -> None:
    """Stop every service; keep all data."""
    from pinflow.stack import runtime

    runtime.current(profile).down(say)
    changes.forget(profile)


@cli.command()
@click.option("--yes", is_flag=True, help="do not ask for confirmation")
@click.pass_obj
def reset(profile: Profile, yes: bool) -> None:
    """Stop every service and delete all data of this stack."""
    from pinflow.stack import runtime

    _ask_before_deleting(_data(profile), yes)
    runtime.current(profile).reset(say)


@cli.command()
@click.option("--yes", is_flag=True, help="do not ask for confirmation")
@click.pass_obj
def clean(profile: Profile, yes: bool) -> None:
    """Delete this stack's data and everything in .pinflow: the state of all stacks and the installed packages."""
    from pinflow.stack import clean as cleaning
    from pinflow.stack import runtime

    cleaning.refuse_while_running()
    _ask_before_deleting(f"{_data(profile)}; and all of .pinflow ({', '.join(cleaning.contents())})", yes)
    runtime.current(profile).reset(say)
    cleaning.delete_packages(say)


@cli.command()
@click.pass_obj
def status(profile: Profile) -> None:
    """Show each service's state and the account of every record; exit status 1 if something is wrong."""
    from pinflow import status as overview

    if not overview.show(profile, say):
        raise click.exceptions.Exit(1)


@cli.command()
@click.argument("service", required=False)
@click.option("-f", "--follow", is_flag=True, help="keep printing new lines")
@click.option("-n", "--lines", default=50, show_default=True, help="number of lines per log")
@click.pass_obj
def logs(profile: Profile, service: str | None, follow: bool, lines: int) -> None:
    """Print the last log lines of one service, or of all."""
    from pinflow.stack import runtime

    stack = runtime.current(profile)
    known = [s.name for s in stack.services]
    if service is not None and service not in known:
        raise PinflowError(f"logs: no service {service}", f"services are {', '.join(known)}")
    stack.logs([service] if service else known, lines, follow)


@cli.command()
@click.pass_obj
def batch(profile: Profile) -> None:
    """Load, clean and analyse the objects in S3 with a job of four notebooks, and print the answers.

    Exit status 1 if the job fails or if not every record is accounted for.
    """
    from pinflow import batch as job
    from pinflow.account.waiting import until_landed

    landed = until_landed(profile, 60, say)
    _show_batch(profile, job.run(profile, say))
    _require_account(profile, landed)


@cli.command()
@click.pass_obj
def stream(profile: Profile) -> None:
    """Start the three stream queries and keep them running."""
    from pinflow import stream as streams

    streams.start(profile, say)


@cli.command("stream-status")
@click.option("--once", is_flag=True, help="print once and exit (the default if stdout is not a terminal)")
@click.pass_obj
def stream_status(profile: Profile, once: bool) -> None:
    """Show how far each stream query is; refreshed every 2 s until Ctrl-C."""
    from pinflow import stream as streams

    watch = streams.Watch(profile)
    report.live(lambda: report.streams(watch.status()), once)


@cli.command("stream-stop")
@click.pass_obj
def stream_stop(profile: Profile) -> None:
    """Stop the stream queries; at the next start they continue where they stopped."""
    from pinflow import stream as streams

    streams.stop(profile, say)


@cli.command()
@click.pass_obj
def compare(profile: Profile) -> None:
    """Compare the batch tables with the stream tables, for the posts that both have.

    Exit status 1 if they differ or if not every record of either path is accounted for.
    """
    from pinflow import status as overview
    from pinflow import stream as streams

    found = streams.compare(profile, say)
    report.comparison(found)
    well = streams.agree(found)
    if profile.stack is not None:
        _require_account(profile)
        well &= overview.streams(profile, say)
    if not well:
        raise click.exceptions.Exit(1)


yes_option = click.option("--yes", is_flag=True, help="do not ask before uploading to another machine")
private_option = click.option("--private", is_flag=True, help="also upload files that git ignores, and private keys")


@cli.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--to", "target", help="target folder in the workspace [default: the folder's name in your home folder]")
@yes_option
@private_option
@click.pass_obj
def sync(profile: Profile, folder: Path, target: str | None, yes: bool, private: bool) -> None:
    """Upload a folder of notebooks and files to the Databricks workspace."""
    # Imported here because Databricks' client takes two seconds.
    from foundation import upload
    from foundation.databricks import Workspace

    workspace = Workspace(profile)
    chosen = upload.of_folder(folder.expanduser(), private or not workspace.elsewhere)
    _ask_before_uploading(workspace, chosen, yes)
    workspace.put(chosen, target or f"{workspace.home}/{chosen.folder.name}", say)


@cli.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("-p", "--parameter", "parameters", multiple=True, metavar="NAME=VALUE", help="value of a widget")
@yes_option
@private_option
@click.pass_obj
def notebook(profile: Profile, file: Path, parameters: tuple[str, ...], yes: bool, private: bool) -> None:
    """Upload a notebook with its folder, so that %run and imports find their files, and run it on the cluster."""
    from foundation import upload
    from foundation.databricks import Task, Workspace

    file = file.expanduser().resolve()
    if not file.is_file():
        raise PinflowError(f"notebook: {file} is not a file", "make notebook NB=path/to/notebook.py")
    wrong = [p for p in parameters if "=" not in p]
    if wrong:
        raise PinflowError(f"notebook: parameter {wrong[0]!r}", "write it as NAME=VALUE")
    workspace = Workspace(profile)
    chosen = upload.of_notebook(file, private or not workspace.elsewhere)
    _ask_before_uploading(workspace, chosen, yes)
    target = f"{workspace.home}/{chosen.folder.name}"
    workspace.put(chosen, target, say)
    task = Task("notebook", f"{target}/{file.stem}", dict(p.split("=", 1) for p in parameters))
    outcome = workspace.run(file.name, [task], say)
    say(f"page: {outcome.page}")
    for result in outcome.results.values():
        click.echo(result)
    if not outcome.succeeded:
        raise click.exceptions.Exit(1)


@cli.command("deploy-dags")
@click.pass_obj
def deploy_dags(profile: Profile) -> None:
    """Upload airflow/ to the DAG bucket and wait until Airflow has read its DAGs."""
    from pinflow import airflow as dags

    dags.deploy(profile, say)


@cli.command("run-dag")
@click.argument("dag_id", required=False)
@click.pass_obj
def run_dag(profile: Profile, dag_id: str | None) -> None:
    """Trigger a DAG and follow its run; by default the batch DAG, whose answers are printed."""
    from foundation.mwaa import Mwaa
    from pinflow import airflow as dags
    from pinflow import batch as job

    mwaa = Mwaa(profile)
    if dag_id is None and (own := mwaa.own_dag()):
        say(own)
        dag_id = mwaa.dag_id
    if dag_id is None:
        _show_batch(profile, job.run_by_airflow(profile, say))
    else:
        say(f"succeeded: {dags.run(profile, dag_id, say).page}")


@cli.command()
@click.pass_obj
def airflow(profile: Profile) -> None:
    """Print the URL of Airflow's UI, the DAGs and their import errors."""
    from foundation.mwaa import Mwaa

    mwaa = Mwaa(profile)
    for dag in mwaa.dags().values():
        say(f"{dag['dag_id']}{' (paused)' if dag['is_paused'] else ''}")
    for error in mwaa.import_errors():
        say(error)
    click.echo(profile.airflow.url)


@cli.command()
@click.option("--posts", default=500, show_default=True, help="number of posts to send")
@click.pass_obj
def demo(profile: Profile, posts: int) -> None:
    """Run the whole pipeline: start it, send posts down both paths, clean, analyse, compare batch and streams."""
    from foundation.mwaa import Mwaa
    from pinflow import batch as job
    from pinflow import status as overview
    from pinflow import stream as streams
    from pinflow.account.waiting import until_landed
    from pinflow.stack import runtime

    began = time.monotonic()
    runtime.up(profile, say)
    say("\nstarting the streams from Kinesis into tables")
    streams.start(profile, say)
    say(f"\nsending {posts} posts from MySQL through API Gateway, into Kafka and into Kinesis")
    ways = ("--to", "batch,stream", "--profile", str(profile.path), "--count", str(posts), "--rate", "max")
    run_module("emulator", "batch", *ways)
    landed = until_landed(profile, 60, say)
    say("\ncleaning and analysing the objects in S3")
    by_airflow = profile.stack is not None and "airflow" in profile.stack.services
    if by_airflow and (own := Mwaa(profile).own_dag()):
        say(f"{own}; this batch runs without Airflow")
        by_airflow = False
    _show_batch(profile, (job.run_by_airflow if by_airflow else job.run)(profile, say))
    say("comparing the streams with the batch")
    well = overview.streams(profile, say)
    found = streams.compare(profile, say)
    report.comparison(found)
    _require_account(profile, landed)
    say("\naddresses")
    report.places(profile)
    say(f"done in {time.monotonic() - began:.0f} s; next: make status, make down, or make help")
    if not (well and streams.agree(found)):
        raise click.exceptions.Exit(1)


@cli.command()
@click.pass_obj
def where(profile: Profile) -> None:
    """Print the addresses, names and directories of all parts."""
    report.places(profile)


@cli.command()
@click.argument("name")
@click.option("--offset", type=int, help="number to add to every port [default: the first that leaves all ports free]")
@click.pass_obj
def instance(profile: Profile, name: str, offset: int | None) -> None:
    """Write profiles/NAME.yaml for a second stack with other ports and its own directory; never overwrites a file."""
    if not name.isidentifier():
        raise PinflowError(f"instance: {name!r} is not a name", "use letters, digits and underscores")
    if not is_dedicated(ROOT / ".pinflow" / name):
        raise PinflowError(f"instance: .pinflow/{name} is reserved for other files", "choose another name")
    target = ROOT / "profiles" / f"{name}.yaml"
    moved = offset if offset is not None else instances.free_offset(str(profile.path))
    instances.write(str(profile.path), target, Path(".pinflow") / name, moved)
    say(f"wrote {_short(target)} with every port {moved} higher; next: make up PROFILE={name}")


@cli.group("profile")
def profiles() -> None:
    """Write a profile interactively, or show one."""


@profiles.command("init")
@click.argument("name", default="aws")
def init_profile(name: str) -> None:
    """Ask for every value and write profiles/NAME.yaml; Enter keeps the current value."""
    from pinflow import profile_form as form

    if not name.isidentifier() or name in TRACKED_PROFILES:
        raise PinflowError(f"profile init: {name!r} is not a possible name", "choose another name, such as aws")
    target = ROOT / "profiles" / f"{name}.yaml"

    def ask(question: form.Question, now: str) -> str:
        say(f"\n{question.comment}")
        return str(click.prompt(question.key, default=now, err=True))

    missing = form.init(ROOT / "profiles" / "aws.example.yaml", target, ask, say)
    say(f"\nwrote {_short(target)}")
    for variable, key in missing:
        say(f"export {variable}=…   # {key}")
    say(f"next: make doctor PROFILE={name}")


@profiles.command("show")
@click.pass_context
def show_profile(context: click.Context) -> None:
    """Print the profile with all variables resolved and secrets masked."""
    from pinflow import profile_form as form

    click.echo(form.shown(load(context.find_root().params["profile_name"])), nl=False)


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="print the findings as JSON")
@click.pass_obj
def doctor(profile: Profile, as_json: bool) -> None:
    """Check every hop of the pipeline and say what is missing and how to fix it; exit status 1 if something is."""
    from pinflow import doctor as doctors

    findings = doctors.walk(profile)
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], ensure_ascii=False, indent=2))
    else:
        report.findings(findings)
    if any(finding.state == "failed" for finding in findings):
        raise click.exceptions.Exit(1)


@cli.command("client-config")
@click.option(
    "--to",
    "directory",
    type=click.Path(path_type=Path),
    help="directory [default: .pinflow/client-config/NAME]",
)
@click.pass_obj
def client_config(profile: Profile, directory: Path | None) -> None:
    """Write the files for the EC2 client: Kafka and REST proxy settings, topic commands, a systemd unit."""
    from pinflow import client_config as files

    for file in files.write(profile, directory or ROOT / ".pinflow" / "client-config" / profile.path.stem):
        say(f"wrote {_short(file)}")


@cli.command("deploy")
@click.option("--yes", is_flag=True, help="do not ask for confirmation")
@click.option("--dry-run", is_flag=True, help="show what would change and exit")
@click.option("--only", multiple=True, type=click.Choice(DEPLOYED), help="only this part; repeatable [default: all]")
@click.pass_obj
def deploy_command(profile: Profile, yes: bool, dry_run: bool, only: tuple[str, ...]) -> None:
    """Deploy notebooks, Airflow Variables, DAGs and the connector; shows the changes and asks first."""
    from pinflow.deploy import deploy

    def agreed(differences: list[Difference]) -> bool:
        report.differences(differences, profile)
        if dry_run:
            return False
        if yes or confirmed("deploy this?"):
            return True
        raise PinflowError("nothing was deployed")

    if not deploy(profile, only or DEPLOYED, agreed, say):
        say("nothing to deploy: everything is up to date")


for command in (aws_plan, aws_up, aws_down, size):
    cli.add_command(command)


def warn_of_changes(command: str, profile: Profile) -> None:
    """Warn if the profile has changed since its stack was started and the command is affected."""
    if command in ("up", "demo"):  # they apply it
        warning = changes.summary(profile) or changes.moved(profile)
    elif command in ("down", "reset", "clean", "instance"):
        warning = changes.moved(profile)
    else:
        warning = changes.notice(profile)
    if warning:
        click.secho(warning, fg="yellow", err=True)


def run_module(module: str, *arguments: str) -> None:
    """Run one of this project's modules as a user would; exits with its status if it fails."""
    if status := subprocess.run([sys.executable, "-m", module, *arguments], cwd=ROOT, check=False).returncode:
        raise click.exceptions.Exit(status)


def say(text: str) -> None:
    """Print a line of progress."""
    click.echo(text, err=True)


def main() -> None:
    """The entry point: shows errors without a traceback; an unexpected one is saved to a file."""
    bypass_proxies()
    try:
        sys.exit(cli(standalone_mode=False))
    except PinflowError as error:
        click.secho(str(error), fg="red", err=True)
        sys.exit(1)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped by Ctrl-C; services that were started keep running: make status, make down", err=True)
        sys.exit(130)
    except Exception as error:
        file = ROOT / ".pinflow" / "last-error.log"
        file.write_text(traceback.format_exc())
        click.secho(f"unexpected: {type(error).__name__}: {error}\n  → details in {_short(file)}", fg="red", err=True)
        sys.exit(1)


def _require_account(profile: Profile, landed: Mapping[str, int] | None = None) -> None:
    """Show the account and raise PinflowError if a record of this stack is not accounted for."""
    from pinflow import account

    if profile.stack is None:
        return
    found = account.take(profile, landed)
    if not found.adds_up:
        report.account(found)
        raise PinflowError("not every record is accounted for:\n  " + "\n  ".join(found.broken), "make status")


def _show_batch(profile: Profile, result: Result) -> None:
    report.answers(profile.uid, result.answers)
    rows = ", ".join(f"{name} {count:,}" for name, count in result.rows.items())
    say(f"\nrows: {rows}\npage: {result.page}")


def _ask_before_deleting(what: str, yes: bool) -> None:
    if not yes and not confirmed(f"delete {what}?"):
        say("nothing was deleted")
        raise click.exceptions.Exit(1)


def _ask_before_uploading(workspace: Workspace, chosen: Upload, yes: bool) -> None:
    """Report what is skipped; before an upload to another machine, list the files and ask."""
    for note in chosen.notes():
        say(note)
    if not workspace.elsewhere:
        return
    size = f"{max(1, chosen.size >> 10):,} kB"
    say(f"uploading to {workspace.profile.databricks.host}: {len(chosen.files):,} files, {size}: {chosen.first(10)}")
    if not yes and not confirmed("upload these?"):
        say("nothing was uploaded")
        raise click.exceptions.Exit(1)


def _data(profile: Profile) -> str:
    """A description of the data that a reset deletes."""
    from pinflow.stack import runtime, state
    from pinflow.stack.compose import ComposeStack

    stack = runtime.current(profile)
    volumes = f"the volumes of {stack.project}, and " if isinstance(stack, ComposeStack) else ""
    held = ", ".join(path.name for path in state.held(profile.home))
    return f"{volumes}the data in {_short(profile.home)} ({held or 'nothing yet'})"


def _short(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
