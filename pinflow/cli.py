"""The commands behind the Makefile. Each ends with a status: 0 well, 1 failed, 130 after Ctrl-C."""

from __future__ import annotations

import json
import os
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
from foundation.mwaa import Mwaa
from foundation.profile import ROOT, Profile, is_a_stacks_own, load
from pinflow import account, report
from pinflow import airflow as dags
from pinflow import instance as instances
from pinflow.account import tables
from pinflow.account.waiting import until_landed
from pinflow.cloudformation.commands import aws_down, aws_plan, aws_up
from pinflow.confirmation import confirmed
from pinflow.stack import clean as cleaning
from pinflow.stack import runtime, state
from pinflow.stack.compose import ComposeStack

if TYPE_CHECKING:
    from foundation.databricks import Workspace
    from foundation.upload import Upload
    from pinflow.batch import Result
    from pinflow.deploy.difference import Difference

DEPLOYED = ("notebooks", "variables", "dags", "connector")
"""The parts of pinflow.deploy, whose import takes two seconds."""

profile_option = click.option(
    "--profile", "profile_name", envvar="PROFILE", default="local", show_default=True, help="a name or a .yaml file"
)


@click.group()
@profile_option
@click.pass_context
def cli(context: click.Context, profile_name: str) -> None:
    """The Pinterest pipeline on one machine."""
    if context.invoked_subcommand != "profile":  # `profile init` makes what would be loaded
        context.obj = load(profile_name)
        tell_changes(context.invoked_subcommand or "", context.obj)


@cli.command()
@click.pass_obj
def up(profile: Profile) -> None:
    """Start every service and wait until all can be used."""
    began = time.monotonic()
    runtime.up(profile, say)
    say(f"everything is ready after {time.monotonic() - began:.1f} s")


@cli.command()
@click.pass_obj
def down(profile: Profile) -> None:
    """Stop every service; data stays."""
    runtime.current(profile).down(say)
    changes.forget(profile)


@cli.command()
@click.option("--yes", is_flag=True, help="do not ask")
@click.pass_obj
def reset(profile: Profile, yes: bool) -> None:
    """Stop every service and delete all data of this stack."""
    _ask_before_deleting(_data(profile), yes)
    runtime.current(profile).reset(say)


@cli.command()
@click.option("--yes", is_flag=True, help="do not ask")
@click.pass_obj
def clean(profile: Profile, yes: bool) -> None:
    """Delete the data of this stack and all of .pinflow: every stack's state there, and the installed packages."""
    cleaning.refuse_while_running()
    _ask_before_deleting(f"{_data(profile)}; and all of .pinflow ({', '.join(cleaning.contents())})", yes)
    runtime.current(profile).reset(say)
    cleaning.delete_packages(say)


@cli.command()
@click.pass_obj
def status(profile: Profile) -> None:
    """Each service's state, and the account of every record; status 1 where something is wrong."""
    if profile.stack is None:
        say("nothing of this profile runs on this machine; make doctor looks at each hop")
        found = account.take(profile)
        report.account(found)
        if not all((found.adds_up, show_streams(profile), show_failure(profile))):
            raise click.exceptions.Exit(1)
        return
    health = runtime.current(profile).health()
    report.services(health)
    ready = {one.name for one in health if one.state == "ready"}
    well = len(ready) == len(health)
    if ready:
        found = account.take(profile)
        report.account(found)
        well &= found.adds_up
    if "databricks" in ready:
        well &= show_streams(profile)
        well &= show_failure(profile)
    if "airflow" in ready:
        well &= not show_failed_runs(profile)
    if not well:
        raise click.exceptions.Exit(1)


@cli.command()
@click.argument("service", required=False)
@click.option("-f", "--follow", is_flag=True, help="go on as lines come in")
@click.option("-n", "--lines", default=50, show_default=True, help="how many lines of each log")
@click.pass_obj
def logs(profile: Profile, service: str | None, follow: bool, lines: int) -> None:
    """The last log lines of one service, or of all."""
    stack = runtime.current(profile)
    known = [s.name for s in stack.services]
    if service is not None and service not in known:
        raise PinflowError(f"logs: no service {service}", f"services are {', '.join(known)}")
    stack.logs([service] if service else known, lines, follow)


@cli.command()
@click.pass_obj
def batch(profile: Profile) -> None:
    """Load, clean and analyse what is in S3, by a job of four notebooks; prints the answers.

    Exit status 1 where the job fails, or where not every record is accounted for.
    """
    landed = until_landed(profile, 60, say)
    run_batch(profile)
    _require_account(profile, landed)


@cli.command()
@click.pass_obj
def stream(profile: Profile) -> None:
    """Start the three stream queries, and keep them running."""
    from pinflow import stream as streams

    streams.start(profile, say)


@cli.command("stream-status")
@click.option("--once", is_flag=True, help="print once and end; so it is where nobody watches")
@click.pass_obj
def stream_status(profile: Profile, once: bool) -> None:
    """How far each stream's query is; anew every 2 s until Ctrl-C."""
    from pinflow import stream as streams

    watch = streams.Watch(profile)
    report.live(lambda: report.streams(watch.status()), once)


@cli.command("stream-stop")
@click.pass_obj
def stream_stop(profile: Profile) -> None:
    """Stop the stream queries; they go on where they were at the next start."""
    from pinflow import stream as streams

    streams.stop(profile, say)


@cli.command()
@click.pass_obj
def compare(profile: Profile) -> None:
    """Whether the batch tables and the streams' agree on the posts that both have seen; status 1 when not.

    Also where not every record of either way is accounted for.
    """
    from pinflow import stream as streams

    found = streams.compare(profile, say)
    report.comparison(found)
    well = streams.agree(found)
    if profile.stack is not None:
        _require_account(profile)
        well &= show_streams(profile)
    if not well:
        raise click.exceptions.Exit(1)


yes_option = click.option("--yes", is_flag=True, help="do not ask before files go to another machine")
private_option = click.option("--private", is_flag=True, help="files that git ignores and private keys go there too")


@cli.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--to", "target", help="a folder of the workspace; by default the user's own, under the same name")
@yes_option
@private_option
@click.pass_obj
def sync(profile: Profile, folder: Path, target: str | None, yes: bool, private: bool) -> None:
    """Put a folder with notebooks and files into the Databricks workspace."""
    # Here, because Databricks' client takes two seconds to import, which every other command would pay.
    from foundation import upload
    from foundation.databricks import Workspace

    workspace = Workspace(profile)
    chosen = upload.of_folder(folder.expanduser(), private or not workspace.elsewhere)
    _ask_before_uploading(workspace, chosen, yes)
    workspace.put(chosen, target or f"{workspace.home}/{chosen.folder.name}", say)


@cli.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("-p", "--parameter", "parameters", multiple=True, metavar="NAME=VALUE", help="a widget's value")
@yes_option
@private_option
@click.pass_obj
def notebook(profile: Profile, file: Path, parameters: tuple[str, ...], yes: bool, private: bool) -> None:
    """Run a notebook: its folder goes into the workspace, so that %run and imports find their files."""
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
    """Upload airflow/ to the bucket and wait until Airflow has read its DAGs."""
    dags.deploy(profile, say)


@cli.command("run-dag")
@click.argument("dag_id", required=False)
@click.pass_obj
def run_dag(profile: Profile, dag_id: str | None) -> None:
    """Trigger a DAG and follow it to its end; the batch DAG by default, which prints the answers."""
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
    """Print the address of Airflow's UI, its DAGs and import errors."""
    mwaa = Mwaa(profile)
    for dag in mwaa.dags().values():
        say(f"{dag['dag_id']}{' (paused)' if dag['is_paused'] else ''}")
    for error in mwaa.import_errors():
        say(error)
    click.echo(profile.airflow.url)


@cli.command()
@click.option("--posts", default=500, show_default=True, help="how many posts to send")
@click.pass_obj
def demo(profile: Profile, posts: int) -> None:
    """The whole pipeline: start, post both ways, clean, answer, compare the batch with the streams."""
    from pinflow import batch as job
    from pinflow import stream as streams

    began = time.monotonic()
    runtime.up(profile, say)
    say("\nthe streams, from Kinesis into tables")
    streams.start(profile, say)
    say(f"\nsending {posts} posts from MySQL through API Gateway, into Kafka and into Kinesis")
    ways = ("--to", "batch,stream", "--profile", str(profile.path), "--count", str(posts), "--rate", "max")
    run_module("emulator", "batch", *ways)
    landed = until_landed(profile, 60, say)
    say("\nfrom S3 to cleaned tables and answers")
    by_airflow = profile.stack is not None and "airflow" in profile.stack.services
    if by_airflow and (own := Mwaa(profile).own_dag()):
        say(f"{own}; this batch runs without Airflow")
        by_airflow = False
    _show_batch(profile, (job.run_by_airflow if by_airflow else job.run)(profile, say))
    say("the streams, and whether both ways agree")
    well = show_streams(profile)
    found = streams.compare(profile, say)
    report.comparison(found)
    _require_account(profile, landed)
    say("\nwhere everything is")
    report.places(profile)
    say(f"done in {time.monotonic() - began:.0f} s; next: make status, make down, or make help")
    if not (well and streams.agree(found)):
        raise click.exceptions.Exit(1)


@cli.command()
@click.pass_obj
def where(profile: Profile) -> None:
    """Addresses, names and directories of everything."""
    report.places(profile)


@cli.command()
@click.argument("name")
@click.option("--offset", type=int, help="how far every port is moved; by default the first free one")
@click.pass_obj
def instance(profile: Profile, name: str, offset: int | None) -> None:
    """Write profiles/NAME.yaml: a second stack with other ports and another directory; never over one that is there."""
    if not name.isidentifier():
        raise PinflowError(f"instance: {name!r} is not a name", "use letters, digits and underscores")
    if not is_a_stacks_own(ROOT / ".pinflow" / name):
        raise PinflowError(f"instance: pinflow keeps something else in .pinflow/{name}", "take another name")
    target = ROOT / "profiles" / f"{name}.yaml"
    moved = offset if offset is not None else instances.free_offset(str(profile.path))
    instances.write(str(profile.path), target, Path(".pinflow") / name, moved)
    say(f"wrote {_short(target)} with every port {moved} higher; next: make up PROFILE={name}")


@cli.group("profile")
def profiles() -> None:
    """Write a profile by answering questions, or show one."""


@profiles.command("init")
@click.argument("name", default="aws")
def init_profile(name: str) -> None:
    """Ask for every value and write profiles/NAME.yaml; what is there already is kept by Enter."""
    from pinflow import profile_form as form

    if not name.isidentifier() or name in (path.stem for path in _tracked_profiles()):
        raise PinflowError(f"profile init: {name!r} cannot be taken", "take another name, such as aws")
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
    """Print the profile as it is resolved, with secrets masked."""
    from pinflow import profile_form as form

    click.echo(form.shown(load(context.find_root().params["profile_name"])), nl=False)


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="a list of findings, for machines")
@click.pass_obj
def doctor(profile: Profile, as_json: bool) -> None:
    """Walk the path hop by hop, and say what is missing and how to mend it; status 1 when something is."""
    from pinflow import doctor as doctors

    findings = doctors.walk(profile)
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], ensure_ascii=False, indent=2))
    else:
        report.findings(findings)
    if any(finding.state == "failed" for finding in findings):
        raise click.exceptions.Exit(1)


@cli.command("client-config")
@click.option("--to", "directory", type=click.Path(path_type=Path), help="where; by default .pinflow/client-config")
@click.pass_obj
def client_config(profile: Profile, directory: Path | None) -> None:
    """Write the files of the EC2 client: Kafka's and the REST proxy's settings, topic commands, a systemd unit."""
    from pinflow import client_config as files

    for file in files.write(profile, directory or ROOT / ".pinflow" / "client-config" / profile.path.stem):
        say(f"wrote {_short(file)}")


@cli.command("deploy")
@click.option("--yes", is_flag=True, help="do not ask")
@click.option("--dry-run", is_flag=True, help="show what would change, and end")
@click.option("--only", multiple=True, type=click.Choice(DEPLOYED), help="this part; may be given again; default: all")
@click.pass_obj
def deploy_command(profile: Profile, yes: bool, dry_run: bool, only: tuple[str, ...]) -> None:
    """Put notebooks, Airflow Variables, DAGs and the connector there; shows what would change first, and asks."""
    from pinflow.deploy import deploy

    def agreed(differences: list[Difference]) -> bool:
        report.differences(differences, profile)
        if dry_run:
            return False
        if yes or confirmed("deploy this?"):
            return True
        raise PinflowError("nothing was deployed")

    if not deploy(profile, only or DEPLOYED, agreed, say):
        say("nothing to deploy: all is there as it is here")


for command in (aws_plan, aws_up, aws_down):
    cli.add_command(command)


def tell_changes(command: str, profile: Profile) -> None:
    """Say what of the profile has changed since its stack was started, where it matters to the command."""
    if command in ("up", "demo"):  # they apply it
        told = changes.summary(profile) or changes.moved(profile)
    elif command in ("down", "reset", "clean", "instance"):
        told = changes.moved(profile)
    else:
        told = changes.notice(profile)
    if told:
        click.secho(told, fg="yellow", err=True)


def show_streams(profile: Profile) -> bool:
    """Print how the streams do, if they were ever started; whether all is well with them."""
    from pinflow import stream as streams

    try:
        if profile.stack and not tables.stream_rows(profile) and not streams.are_wanted(profile):
            return True
        found = streams.Watch(profile).status()
    except PinflowError as error:
        say(f"streams: {error.what}")
        return False
    report.console.print(report.streams(found))
    report.stream_problems(found)
    return not any(one.state == "failed" or one.missing for one in found)


def show_failure(profile: Profile) -> bool:
    """Print how the last batch failed, where it did; whether it is well."""
    from foundation.databricks import Workspace
    from pinflow import batch as job

    try:
        failure = Workspace(profile).last_failure(job.run_name(profile))
        if failure is None or failure.ended < tables.loaded_at(profile):  # the DAG may have loaded them since
            return True
    except PinflowError as error:
        say(f"batch: {error.what}")
        return False
    report.wrong(f"the last batch failed: {failure.reason}", f"its cells and errors: {failure.page}; then make batch")
    return False


def show_failed_runs(profile: Profile) -> bool:
    """Print which DAGs' latest run failed; whether there are any, or Airflow does not tell."""
    try:
        return dags.report_failed_runs(profile, say)
    except PinflowError as error:
        say(error.what)
        return True


def run_batch(profile: Profile) -> None:
    """Run the batch job on Databricks and print its answers."""
    from pinflow import batch as job

    _show_batch(profile, job.run(profile, say))


def run_module(module: str, *arguments: str) -> None:
    """Run one of this project's own modules as a person would; raises click's Exit with its status when it fails."""
    _run([sys.executable, "-m", module, *arguments], dict(os.environ))


def say(text: str) -> None:
    """A line of progress."""
    click.echo(text, err=True)


def main() -> None:
    """The entry point: errors are for the person at the terminal, a traceback goes to a file."""
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
        click.echo("stopped by Ctrl-C; what was started goes on running: make status, make down", err=True)
        sys.exit(130)
    except Exception as error:
        file = ROOT / ".pinflow" / "last-error.log"
        file.write_text(traceback.format_exc())
        click.secho(f"unexpected: {type(error).__name__}: {error}\n  → details in {_short(file)}", fg="red", err=True)
        sys.exit(1)


def _require_account(profile: Profile, landed: Mapping[str, int] | None = None) -> None:
    """Raise PinflowError, after the account was shown, where a record of this stack is not accounted for."""
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
    """Say what stays; where the workspace is on another machine, show what is to leave this one, and ask."""
    for note in chosen.notes():
        say(note)
    if not workspace.elsewhere:
        return
    size = f"{max(1, chosen.size >> 10):,} kB"
    say(f"to {workspace.profile.databricks.host}: {len(chosen.files):,} files, {size}: {chosen.first(10)}")
    if not yes and not confirmed("upload these?"):
        say("nothing was uploaded")
        raise click.exceptions.Exit(1)


def _data(profile: Profile) -> str:
    """What a reset deletes of a stack, in words."""
    stack = runtime.current(profile)
    volumes = f"the volumes of {stack.project}, and " if isinstance(stack, ComposeStack) else ""
    held = ", ".join(path.name for path in state.held(profile.home))
    return f"{volumes}the data in {_short(profile.home)} ({held or 'nothing yet'})"


def _run(command: list[str | Path], environment: dict[str, str]) -> None:
    status = subprocess.run([str(c) for c in command], env=environment, cwd=ROOT, check=False).returncode
    if status:
        raise click.exceptions.Exit(status)


def _tracked_profiles() -> list[Path]:
    """Those that belong to the project."""
    return [ROOT / "profiles" / "local.yaml", ROOT / "profiles" / "aws.example.yaml"]


def _short(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
