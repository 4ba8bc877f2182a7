"""`make reset` and `make clean` delete what is pinflow's own, and nothing that somebody else lives on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner, Result

from foundation.errors import PinflowError, ProfileError
from foundation.profile import ROOT, Profile, load
from pinflow import install, instance
from pinflow.cli import cli
from pinflow.stack import clean
from pinflow.stack.native import NativeStack

SERVICES = ("airflow", "databricks", "kafka", "localstack", "mysql", "spark")
OURS = (*SERVICES, "logs", "posts", "run", "spill", "supervisor", "tmp")


@pytest.fixture(autouse=True)
def natively(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNTIME", "native")
    monkeypatch.setattr("pinflow.stack.clean.projects", list)


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A .pinflow of its own, with something installed in it."""
    directory = tmp_path / ".pinflow"
    (directory / "envs" / "tool").mkdir(parents=True)
    monkeypatch.setattr(clean, "PACKAGES", directory)
    monkeypatch.setattr(install, "PACKAGES", directory)
    return directory


@pytest.fixture
def running() -> Iterator[psutil.Process]:
    """Some process that lives."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield psutil.Process(process.pid)
    process.kill()
    process.wait()


def profile(home: Path, name: str = "p") -> Profile:
    """A profile with its state in ``home``, which has what a stack leaves there."""
    for child in OURS:
        (home / child).mkdir(parents=True)
        (home / child / "file").touch()
    target = home.parent / f"{name}.yaml"
    return load(str(instance.write("local", target, home, 0)))


def pinflow(one: Profile, *arguments: str, answer: str = "") -> Result:
    return CliRunner().invoke(cli, ["--profile", str(one.path), *arguments], input=answer)


def with_directory(tmp_path: Path, directory: str) -> Profile:
    return load(str(instance.write("local", tmp_path / "p.yaml", Path(directory), 0)))


def test_reset_deletes_the_directory_when_only_its_own_lies_there(tmp_path: Path) -> None:
    one = profile(tmp_path / "state")
    NativeStack(one).reset(print)
    assert not one.home.exists()


def test_reset_leaves_what_somebody_else_put_there_and_says_so(tmp_path: Path) -> None:
    one, said = profile(tmp_path / "state"), list[str]()
    (one.home / "thesis.tex").touch()
    NativeStack(one).reset(said.append)
    assert [path.name for path in one.home.iterdir()] == ["thesis.tex"]
    assert "thesis.tex" in said[-1]


def test_reset_deletes_a_link_and_not_what_it_points_to(tmp_path: Path) -> None:
    one = profile(tmp_path / "state")
    elsewhere = tmp_path / "elsewhere"
    (one.home / "kafka").rename(elsewhere)
    (one.home / "kafka").symlink_to(elsewhere)
    NativeStack(one).reset(print)
    assert not one.home.exists()
    assert (elsewhere / "file").is_file()


@pytest.mark.parametrize("directory", [".", "..", "/", ".pinflow", ".pinflow/envs", ".pinflow/jars/spark", "services"])
def test_a_directory_that_holds_more_than_a_stack_is_refused(tmp_path: Path, directory: str) -> None:
    with pytest.raises(ProfileError, match=r"stack\.directory") as error:
        _ = with_directory(tmp_path, directory).home
    assert ".pinflow/local" in str(error.value)


@pytest.mark.parametrize("directory", [".pinflow/second", ".pinflow/tests/e2e"])
def test_a_directory_beside_the_packages_is_taken(tmp_path: Path, directory: str) -> None:
    assert with_directory(tmp_path, directory).home == ROOT / directory


@pytest.mark.parametrize("command", ["reset", "clean"])
def test_without_a_terminal_nothing_is_deleted_unless_told_so(tmp_path: Path, packages: Path, command: str) -> None:
    one = profile(tmp_path / "state")
    done = pinflow(one, command, answer="y\n")
    assert isinstance(done.exception, PinflowError)
    assert "--yes" in str(done.exception)
    assert (one.home / "kafka" / "file").is_file()


@pytest.mark.parametrize("command", ["reset", "clean"])
def test_a_no_deletes_nothing(tmp_path: Path, packages: Path, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    one, asked = profile(tmp_path / "state"), list[str]()

    def no(question: str) -> bool:
        asked.append(question)
        return False

    monkeypatch.setattr("pinflow.cli.confirmed", no)
    done = pinflow(one, command)
    assert done.exit_code == 1
    assert (one.home / "kafka" / "file").is_file()
    assert str(one.home) in asked[0]
    assert "kafka" in asked[0]


def test_reset_told_so_asks_nobody(tmp_path: Path) -> None:
    one = profile(tmp_path / "state")
    assert pinflow(one, "reset", "--yes").exit_code == 0
    assert not one.home.exists()


def test_clean_names_what_is_installed_and_deletes_it_with_the_data(packages: Path) -> None:
    one = profile(packages / "local")
    done = pinflow(one, "clean", "--yes")
    assert done.exit_code == 0, done.exception
    assert not packages.exists()
    assert "envs" in done.output


def test_clean_refuses_while_services_of_another_stack_run(packages: Path, running: psutil.Process) -> None:
    one, second = profile(packages / "local", "local"), profile(packages / "second", "second")
    NativeStack(second).supervision._write_configuration()
    (second.home / "run" / "mysql.pid").write_text(f"{running.pid} {running.create_time()}")
    for file in (second.home / "run" / "file", one.home / "run" / "file"):
        file.unlink()
    done = pinflow(one, "clean", "--yes")
    assert isinstance(done.exception, PinflowError)
    assert str(second.home) in done.exception.what
    assert done.exception.fix == f"make down PROFILE={second.path}"
    assert (packages / "envs").is_dir()
    assert (one.home / "kafka" / "file").is_file()


def test_clean_refuses_while_a_supervisor_runs_though_no_service_does(packages: Path) -> None:
    one = profile(packages / "local")
    supervision = NativeStack(one).supervision
    supervision._write_configuration()
    waiting = [sys.executable, "-c", "import time; time.sleep(60)", "-c", str(supervision.configuration)]
    with subprocess.Popen(waiting) as supervisord:
        supervision.pid_file.write_text(f"{supervisord.pid}\n")
        done = pinflow(one, "clean", "--yes")
        supervisord.kill()
    assert isinstance(done.exception, PinflowError)
    assert str(one.home) in done.exception.what


def test_a_number_that_another_process_has_by_now_keeps_nobody_from_cleaning(
    packages: Path, running: psutil.Process
) -> None:
    one = profile(packages / "local")
    (one.home / "run" / "mysql.pid").write_text(f"{running.pid} {running.create_time() - 1000}")
    (one.home / "supervisor" / "supervisord.pid").write_text(f"{running.pid}\n")
    assert clean.running() == []


def test_clean_refuses_while_containers_run(packages: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = profile(packages / "local")
    monkeypatch.setattr("pinflow.stack.clean.projects", lambda: ["pinflow-second-0a1b2c3d"])
    done = pinflow(one, "clean", "--yes")
    assert isinstance(done.exception, PinflowError)
    assert "pinflow-second-0a1b2c3d" in done.exception.what
    assert done.exception.fix == "docker compose -p pinflow-second-0a1b2c3d down"
