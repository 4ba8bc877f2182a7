"""What `make status` shows: services, the account of every record, streams, the last batch, the DAGs' latest runs."""

from __future__ import annotations

from foundation.errors import PinflowError
from foundation.profile import Profile
from foundation.service import Say
from pinflow import account, airflow, report
from pinflow.account import tables
from pinflow.stack import runtime


def show(profile: Profile, say: Say) -> bool:
    """Print everything that can be asked for; returns whether all is well."""
    if profile.stack is None:
        say("nothing of this profile runs on this machine; make doctor checks every hop")
        ready, well = {"databricks"}, True
    else:
        health = runtime.current(profile).health()
        report.services(health)
        ready = {one.name for one in health if one.state == "ready"}
        well = len(ready) == len(health)
    if ready:
        found = account.take(profile)
        report.account(found)
        well &= found.adds_up
    if "databricks" in ready:
        well &= streams(profile, say)
        well &= _last_batch(profile, say)
    if "airflow" in ready:
        well &= _dags(profile, say)
    return well


def streams(profile: Profile, say: Say) -> bool:
    """Print the state of the streams if they were ever started; returns whether they are well."""
    # Imported here, as below, because Databricks' client takes two seconds.
    from pinflow import stream

    try:
        if profile.stack and not tables.stream_rows(profile) and not stream.are_wanted(profile):
            return True
        found = stream.Watch(profile).status()
    except PinflowError as error:
        say(f"streams: {error.what}")
        return False
    report.console.print(report.streams(found))
    report.stream_problems(found)
    return not any(one.state == "failed" or one.missing for one in found)


def _last_batch(profile: Profile, say: Say) -> bool:
    """Print how the last batch failed, if it did; returns whether it is well."""
    from foundation.databricks import Workspace
    from pinflow import batch

    try:
        failure = Workspace(profile).last_failure(batch.run_name(profile))
        if failure is None or failure.ended < tables.loaded_at(profile):  # the DAG may have loaded them since
            return True
    except PinflowError as error:
        say(f"batch: {error.what}")
        return False
    report.wrong(f"the last batch failed: {failure.reason}", f"its cells and errors: {failure.page}; then make batch")
    return False


def _dags(profile: Profile, say: Say) -> bool:
    """Print which DAGs' latest run failed; returns whether Airflow answers and none did."""
    try:
        return not airflow.report_failed_runs(profile, say)
    except PinflowError as error:
        say(error.what)
        return False
