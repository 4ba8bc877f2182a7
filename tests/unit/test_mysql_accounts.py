"""The database's user in the mysql image: by the same SQL as natively, at each start, with any password."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from foundation.errors import ProfileError
from foundation.profile import ROOT, Profile, load
from pinflow.stack.compose_variables import variables
from services.mysql import native
from services.mysql.accounts import statements

START = ROOT / "services" / "mysql" / "start.sh"
# The entrypoint of the image: what it is called with, and what of our variables it can see.
ENTRYPOINT = '#!/bin/sh\necho "$@"\nenv | grep -E "^(MYSQL|PINFLOW)_" | cut -d= -f1 | sort\n'
PASSWORDS = ["it's", '"quoted"', "back\\slash\\", "$HOME ${x:-y} $$", "100%s %(x)s", " blanks ", "a;b--c#d", "`id`"]


def with_password(password: str, monkeypatch: pytest.MonkeyPatch) -> Profile:
    monkeypatch.setenv("PINFLOW_DATABASE_PASSWORD", password)
    return load("local")


def start(directory: Path, *options: str, **given: str) -> list[str]:
    """Run start.sh with the image's directories in this one; returns the lines that its entrypoint printed."""
    script = START.read_text(encoding="utf-8")
    for path in ("/docker-entrypoint-initdb.d", "/var/lib/mysql"):
        assert path in script
        (directory / path[1:]).mkdir(parents=True, exist_ok=True)
        script = script.replace(path, f"{directory}{path}")
    entrypoint = directory / "bin" / "docker-entrypoint.sh"
    entrypoint.parent.mkdir(exist_ok=True)
    entrypoint.write_text(ENTRYPOINT)
    entrypoint.chmod(0o755)
    environment = {"PATH": f"{entrypoint.parent}:{os.environ['PATH']}", "MYSQL_RANDOM_ROOT_PASSWORD": "yes", **given}
    command = ["bash", "-c", script, "start.sh", *options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


@pytest.mark.parametrize("password", PASSWORDS)
def test_the_image_runs_the_sql_of_the_native_server(
    password: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = with_password(password, monkeypatch)
    given = variables(profile)["PINFLOW_DATABASE_ACCOUNTS"]
    assert native.SERVICE.settings is not None
    assert native.SERVICE.settings(profile) == (3306, given)
    assert len(given.splitlines()) == 4
    (tmp_path / "var/lib/mysql/mysql").mkdir(parents=True)
    called, *seen = start(tmp_path, "--a=1", PINFLOW_ACCOUNTS=given, MYSQL_USER="pinflow", MYSQL_PASSWORD=password)
    file = tmp_path / "docker-entrypoint-initdb.d/accounts.sql"
    assert called == f"mysqld --a=1 --init-file={file}", "options of a `command` in an override file stay"
    assert file.read_text() == given
    # Else the entrypoint would paste the password into SQL of its own.
    assert seen == ["MYSQL_RANDOM_ROOT_PASSWORD"]


def test_a_server_without_data_is_given_the_sql_by_the_entrypoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = statements(with_password("it's", monkeypatch))
    called, *_ = start(tmp_path, PINFLOW_ACCOUNTS=given)
    assert called == "mysqld"
    assert (tmp_path / "docker-entrypoint-initdb.d/accounts.sql").read_text() == given


def test_by_hand_the_image_makes_its_user_itself(tmp_path: Path) -> None:
    called, *seen = start(tmp_path, PINFLOW_ACCOUNTS="", MYSQL_USER="pinflow", MYSQL_PASSWORD="pinflow")
    assert called == "mysqld"
    assert {"MYSQL_USER", "MYSQL_PASSWORD"} <= set(seen)
    assert not any((tmp_path / "docker-entrypoint-initdb.d").iterdir())


@pytest.mark.parametrize("password", ["grün", "пароль", "🔑"])
def test_a_password_that_clients_send_differently_is_refused_at_once(
    password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = with_password(password, monkeypatch)
    for refuses in (variables, native.prepare):
        with pytest.raises(ProfileError, match=r"database\.password: expected ASCII characters only") as error:
            refuses(profile)
        assert password not in str(error.value)


def test_a_database_of_ones_own_may_have_any_password(monkeypatch: pytest.MonkeyPatch) -> None:
    profile = with_password("grün", monkeypatch)
    assert profile.stack is not None
    stack = profile.stack.model_copy(update={"services": ["kafka"]})
    assert variables(profile.model_copy(update={"stack": stack}))["PINFLOW_DATABASE_ACCOUNTS"] == ""
