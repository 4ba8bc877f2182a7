"""`make sync` and `make notebook`: what goes into a workspace, and above all what does not."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from foundation.databricks import Workspace
from foundation.errors import PinflowError
from foundation.profile import ROOT, load
from pinflow import cli as command
from pinflow.cli import cli
from tests.contract.workspace.conftest import HOME, TOKEN, Service

CANARY = "canary-do-not-upload"
NOTEBOOK = "# Databricks notebook source\n# print done; exit it ran\n"


@pytest.fixture
def empty(service: Service) -> Iterator[Service]:
    """The workspace without anything in the user's folder."""
    yield service
    for each in service.call("GET", "/api/2.0/workspace/list", params={"path": HOME}).json().get("objects", []):
        service.call("POST", "/api/2.0/workspace/delete", json={"path": each["path"], "recursive": True})


@pytest.fixture
def person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory with what people keep in theirs; each secret holds the canary."""
    home = tmp_path / "home" / "ann"
    for name in (".ssh/id_rsa", ".aws/credentials", ".env", ".netrc", ".venv/lib/x.py", ".config/gcloud/key.json"):
        planted(home / name)
    (home / ".venv" / "pyvenv.cfg").touch()
    monkeypatch.setenv("HOME", str(home))
    return home


def planted(file: Path, text: str = CANARY) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def project(person: Path) -> Path:
    """A project with a notebook, its module and data, and every kind of thing that must stay."""
    folder = person / "project"
    planted(folder / "report.py", NOTEBOOK)
    planted(folder / "lib" / "module.py", "X = 1\n")
    planted(folder / "cities.csv", "Rome\n")
    outside = planted(person.parent / "passwd")
    (folder / "users.txt").symlink_to(outside)
    (folder / "elsewhere").symlink_to(person.parent)
    (folder / "settings.txt").symlink_to(planted(folder / ".env"))
    (folder / "towns.csv").symlink_to("cities.csv")
    planted(folder / ".ssh" / "id_rsa")
    planted(folder / "environment" / "pyvenv.cfg")
    planted(folder / "environment" / "lib" / "x.py")
    planted(folder / "node_modules" / "x" / "index.js")
    planted(folder / "__pycache__" / "x.pyc")
    os.mkfifo(folder / "pipe")
    return folder


def in_git(folder: Path) -> None:
    """Make it a repository that ignores the credentials that its notebooks read, and a folder inside of one."""
    planted(folder / ".gitignore", "db_creds.yaml\nout/\n")
    planted(folder / "db_creds.yaml")
    planted(folder / "out" / "rows.csv")
    subprocess.run(["git", "init", "-q", str(folder)], check=True)


def profile(service: Service, tmp_path: Path, here: bool) -> Path:
    """A profile with this workspace, as the stack's own or as one that is managed elsewhere."""
    document = yaml.safe_load((ROOT / "profiles" / "local.yaml").read_text())
    document["databricks"] |= {"host": service.url, "token": "${WORKSPACE_TOKEN}"}
    document["stack"] = document["stack"] | {"directory": str(tmp_path / "stack")} if here else None
    file = tmp_path / "profile.yaml"
    file.write_text(yaml.safe_dump(document))
    return file


def pinflow(service: Service, tmp_path: Path, *arguments: str, here: bool = True) -> Result:
    """A command as a person types it; one that fails without an exit status raises."""
    file = profile(service, tmp_path, here)
    result = CliRunner().invoke(cli, ["--profile", str(file), *arguments], env={"WORKSPACE_TOKEN": TOKEN})
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def arrived(service: Service, folder: str = HOME) -> set[str]:
    """The paths of all notebooks and files in a folder, from it on."""
    listed = service.call("GET", "/api/2.0/workspace/list", params={"path": folder})
    found: set[str] = set()
    for each in listed.json().get("objects", []):
        found |= arrived(service, each["path"]) if each["object_type"] == "DIRECTORY" else {each["path"]}
    return {path.removeprefix(f"{HOME}/") for path in found}


def leaked(service: Service) -> list[Path]:
    """Files of the workspace, its database and log included, in which the canary is."""
    files = [file for file in service.home.parent.rglob("*") if file.is_file()]
    return [file for file in files if CANARY.encode() in file.read_bytes()]


def test_nothing_secret_goes_with_a_project(empty: Service, person: Path, tmp_path: Path) -> None:
    result = pinflow(empty, tmp_path, "sync", str(project(person)))
    assert arrived(empty) == {f"project/{name}" for name in ("report", "lib/module.py", "cities.csv", "towns.csv")}
    assert leaked(empty) == []
    for said in ("hidden: .env, .ssh/", "installed packages: environment/, node_modules/", "not a regular file: pipe"):
        assert f"skipped, {said}" in result.output
    assert "skipped, link to a skipped file: settings.txt, users.txt" in result.output
    assert "__pycache__" not in result.output


def test_a_deployments_difference_is_of_the_files_that_go(
    empty: Service, person: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKSPACE_TOKEN", TOKEN)
    workspace, folder = Workspace(load(str(profile(empty, tmp_path, here=False)))), project(person)
    in_git(folder)
    before = workspace.differing(folder, f"{HOME}/project")
    assert CANARY not in str(before)
    workspace.sync(folder, f"{HOME}/project", lambda text: None)
    assert {path.removeprefix(f"{HOME}/") for path in before} == arrived(empty)
    assert workspace.differing(folder, f"{HOME}/project") == {}


@pytest.mark.parametrize("folder", ["", "..", "../..", ".ssh", ".config/gcloud"])
def test_a_home_directory_and_its_key_folders_are_refused(
    empty: Service, person: Path, tmp_path: Path, folder: str
) -> None:
    with pytest.raises(PinflowError) as refused:
        pinflow(empty, tmp_path, "sync", str(person / folder))
    assert "folder of its own" in refused.value.fix
    assert (arrived(empty), leaked(empty)) == (set(), [])


@pytest.mark.parametrize("here", [True, False], ids=["on this machine", "elsewhere"])
def test_a_notebook_in_the_home_directory_runs_and_takes_only_code_along(
    empty: Service, person: Path, tmp_path: Path, here: bool
) -> None:
    planted(person / "x.py", NOTEBOOK)
    planted(person / "helper.py", "X = 1\n")
    planted(person / "passwords.txt")
    planted(person / "documents" / "diary.py")
    result = pinflow(empty, tmp_path, "notebook", str(person / "x.py"), "--yes", here=here)
    assert (result.exit_code, "it ran" in result.output) == (0, True), result.output
    assert arrived(empty) == {"ann/x", "ann/helper.py"}
    assert leaked(empty) == []
    assert "is your home directory: everything except the notebooks and modules beside this one" in result.output


def test_a_notebook_runs_beside_its_modules_and_data(empty: Service, person: Path, tmp_path: Path) -> None:
    folder = project(person)
    in_git(folder)
    result = pinflow(empty, tmp_path, "notebook", str(folder / "report.py"))
    assert (result.exit_code, "it ran" in result.output) == (0, True), result.output
    assert {"project/report", "project/lib/module.py", "project/cities.csv"} <= arrived(empty)
    assert "project/db_creds.yaml" in arrived(empty), "the notebook may read it, and it stays on this machine"


def test_a_notebook_beside_a_thousand_files_runs_without_them(empty: Service, person: Path, tmp_path: Path) -> None:
    downloads = person / "Downloads"
    planted(downloads / "x.py", NOTEBOOK)
    for number in range(1001):
        planted(downloads / f"{number}.txt")
    result = pinflow(empty, tmp_path, "notebook", str(downloads / "x.py"))
    assert (result.exit_code, arrived(empty)) == (0, {"Downloads/x"}), result.output
    assert "is too large (1,002 files" in result.output
    with pytest.raises(PinflowError, match=r"too large .*1,000 files and 100 MB\): 1,002 files"):
        pinflow(empty, tmp_path, "sync", str(downloads))
    assert leaked(empty) == []


def test_to_another_machine_goes_nothing_that_git_ignores_and_no_private_key(
    empty: Service, person: Path, tmp_path: Path
) -> None:
    folder = project(person)
    in_git(folder)
    planted(folder / "pair.pem", f"-----BEGIN RSA PRIVATE KEY-----\n{CANARY}\n")
    planted(folder / "ca.pem", "-----BEGIN CERTIFICATE-----\n")
    result = pinflow(empty, tmp_path, "sync", str(folder), "--yes", here=False)
    assert "skipped, ignored by git: db_creds.yaml, out/rows.csv" in result.output
    assert "skipped, private key: pair.pem" in result.output
    assert "project/ca.pem" in arrived(empty) and "project/report" in arrived(empty)
    assert leaked(empty) == []


def test_what_git_ignores_in_a_repository_inside_or_around_stays_too(
    empty: Service, person: Path, tmp_path: Path
) -> None:
    outer, inner = person / "work" / "notebooks", person / "work" / "notebooks" / "inner"
    planted(outer / "report.py", NOTEBOOK)
    in_git(inner)
    in_git(person / "work")
    planted(outer / "db_creds.yaml")
    pinflow(empty, tmp_path, "sync", str(outer), "--yes", here=False)
    assert (arrived(empty), leaked(empty)) == ({"notebooks/report"}, [])


def test_where_git_cannot_tell_nothing_goes(empty: Service, person: Path, tmp_path: Path) -> None:
    folder = project(person)
    planted(folder / ".git", "gitdir: nowhere\n")
    with pytest.raises(PinflowError, match="cannot find out which files git ignores"):
        pinflow(empty, tmp_path, "sync", str(folder), "--yes", here=False)
    assert arrived(empty) == set()


@pytest.mark.parametrize("agreed", [True, False])
def test_before_files_go_to_another_machine_they_are_shown_and_asked_for(
    empty: Service, person: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, agreed: bool
) -> None:
    asked: list[str] = []

    def answer(question: str) -> bool:
        asked.append(question)
        return agreed

    monkeypatch.setattr(command, "confirmed", answer)
    result = pinflow(empty, tmp_path, "sync", str(project(person)), here=False)
    assert asked == ["upload these?"]
    shown = f"to {empty.url}: 4 files, 1 kB: cities.csv, lib/module.py, report.py, towns.csv"
    assert shown in result.output
    assert (result.exit_code, bool(arrived(empty))) == ((0, True) if agreed else (1, False))


def test_where_nobody_can_be_asked_nothing_goes(empty: Service, person: Path, tmp_path: Path) -> None:
    for arguments in (("sync", str(project(person))), ("notebook", str(person / "project" / "report.py"))):
        with pytest.raises(PinflowError) as refused:
            pinflow(empty, tmp_path, *arguments, here=False)
        assert "--yes" in refused.value.fix
    assert arrived(empty) == set()
