"""What services/airflow relies on in Airflow; run by its interpreter, see test_airflow.py."""

import configparser
import importlib
import inspect
import os
import sys
import threading
from pathlib import Path

from inside import report

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "services" / "airflow"))
import compat


def check_what_is_imported_before_the_fork():
    compat.preload()
    if compat.FORKS:
        routes = importlib.import_module("airflow.api_fastapi.core_api.routes.public.task_instances")
        assert routes.action_logging.__module__ == compat.__name__


def check_the_audit_log_is_committed_beside_the_event_loop():
    if not compat.FORKS:
        return
    # The check above has called preload().
    from airflow.api_fastapi.common.db.common import _get_session
    from airflow.api_fastapi.core_api.security import get_user
    from airflow.api_fastapi.logging import decorators
    from fastapi import Depends, FastAPI
    from fastapi.testclient import TestClient

    added, threads = [], {}

    class Session:
        add = staticmethod(added.append)

        def commit(self):
            threads["commit"] = threading.get_ident()

    app = FastAPI()

    def route_with(log_action):
        @app.patch(f"/{len(app.routes)}", dependencies=[Depends(log_action)])
        async def route():
            threads["loop"] = threading.get_ident()

        return app.routes[-1].path

    app.dependency_overrides = {_get_session: Session, get_user: lambda: None}
    patched = decorators.action_logging("change")
    before, after = route_with(inspect.unwrap(patched)), route_with(patched)
    client = TestClient(app)
    same = []
    for path in (before, after):
        assert client.patch(path, json={"new_state": "failed"}).status_code == 200
        same.append(threads["commit"] == threads["loop"])
    assert same == [True, False]
    assert [entry.event for entry in added] == ["change", "change"]
    assert '"new_state": "failed"' in added[1].extra


def check_airflow_runs_in_this_process():
    from airflow.__main__ import main

    assert not inspect.signature(main).parameters


def check_the_commands_that_are_run():
    from airflow.cli.cli_parser import get_parser

    commands = ["scheduler --skip-serve-logs", "triggerer --skip-serve-logs", "db migrate"]
    commands += ["webserver"] if compat.OLD else ["api-server", "dag-processor"]
    for command in commands:
        get_parser().parse_args(command.split())


def check_the_configuration_that_is_written_is_used():
    from airflow.configuration import conf

    file = configparser.RawConfigParser()
    compat.write_configuration()
    if compat.FORKS:
        assert file.read(Path(os.environ["AIRFLOW_HOME"], "airflow.cfg"))
        assert conf.get("core", "fernet_key") == file.get("core", "fernet_key") != ""


def check_operators_have_the_period_that_the_policy_changes():
    from airflow.providers.databricks.operators import databricks

    for name in ("DatabricksSubmitRunOperator", "DatabricksRunNowOperator", "DatabricksNotebookOperator"):
        operator = getattr(databricks, name)
        found = [
            name for kind in operator.__mro__ if "__init__" in vars(kind) for name in inspect.signature(kind).parameters
        ]
        assert "polling_period_seconds" in found, name


if __name__ == "__main__":
    report(globals())
