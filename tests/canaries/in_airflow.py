"""What services/airflow relies on in Airflow; run by its interpreter, see test_airflow.py."""

import configparser
import importlib
import inspect
import os
import sys
from pathlib import Path

from inside import report

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "services" / "airflow"))
import compat


def check_what_is_imported_before_the_fork():
    for module in compat.PRELOADED if compat.FORKS else ():
        importlib.import_module(module)


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
