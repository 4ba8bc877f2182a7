"""bin/, as a person types it in a fresh clone, from any directory."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from foundation.profile import ROOT
from pinflow import install

# Makes an environment out of the one that these tests run in.
UV = f"""#!/bin/sh
for last; do :; done
[ "$1" = venv ] || exit 0
mkdir -p "$last/bin"
printf '#!/bin/sh\\nexec {sys.executable} "$@"\\n' > "$last/bin/python"
chmod +x "$last/bin/python"
"""
NEEDED = ("sh", "dirname", "readlink", "basename")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What a clone has, without any environment but the installer's, whose uv is one that needs no network."""
    made = tmp_path / "clone"
    for folder in ("bin", "pinflow", "foundation", "emulator", "services", "spark", "requirements"):
        ignored = shutil.ignore_patterns("__pycache__", "node_modules")
        shutil.copytree(ROOT / folder, made / folder, symlinks=True, ignore=ignored)
    (made / "profiles").mkdir()
    for file in ("Makefile", "versions.toml", "profiles/local.yaml", "profiles/aws.example.yaml"):
        shutil.copy(ROOT / file, made / file)
    bootstrap = made / ".pinflow" / "envs" / "bootstrap"
    install.stamp(bootstrap, ROOT / "requirements" / "bootstrap.txt")
    uv = bootstrap / "bin" / "uv"
    uv.parent.mkdir()
    uv.write_text(UV)
    uv.chmod(0o755)
    (bootstrap / "bin" / "python").symlink_to(sys.executable)
    return made


def run(clone: Path, tool: str, *arguments: str, given: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    elsewhere = clone.parent / "elsewhere"
    (elsewhere / "pinflow").mkdir(parents=True, exist_ok=True)
    (elsewhere / "pinflow" / "__init__.py").write_text("raise SystemExit('wrong package')")
    environment = {**os.environ, "PYTHON": sys.executable, "PROFILE": "local", **variables}
    return subprocess.run(
        [str(clone / "bin" / tool), *arguments],
        input=given, cwd=elsewhere, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_a_profile_can_be_written_in_a_fresh_clone(clone: Path) -> None:
    first = run(clone, "pinflow", "profile", "init", given="\n" * 200)
    assert first.returncode == 0, first.stderr
    assert "installed environment tool" in first.stderr
    assert "next: make doctor PROFILE=aws" in first.stderr
    written = (clone / "profiles" / "aws.yaml").read_text(encoding="utf-8")
    assert written == (ROOT / "profiles" / "aws.example.yaml").read_text(encoding="utf-8")
    again = run(clone, "pinflow", "profile", "show")
    assert yaml.safe_load(again.stdout)["uid"] == "0a1b2c3d4e5f"
    assert "install" not in again.stderr


def test_an_installation_that_fails_says_so_and_nothing_else_happens(clone: Path) -> None:
    (clone / ".pinflow" / "envs" / "bootstrap" / "bin" / "uv").write_text("#!/bin/sh\necho no route >&2; exit 2\n")
    done = run(clone, "pinflow", "profile", "init")
    assert done.returncode == 1
    assert "no route" in done.stderr
    assert "profiles/aws.yaml" not in done.stderr


def test_an_instance_is_never_written_over_a_profile_that_is_there(clone: Path) -> None:
    profiles = clone / "profiles"
    (profiles / "aws.yaml").write_text("filled in by hand")
    assert run(clone, "pinflow", "instance", "second").returncode == 0
    before = {file.name: file.read_text(encoding="utf-8") for file in profiles.iterdir()}
    assert {"local.yaml", "aws.yaml", "second.yaml"} < set(before)
    for name in ("local", "aws", "second"):
        done = run(clone, "pinflow", "instance", name)
        assert done.returncode == 1
        assert f"profiles/{name}.yaml already exists" in done.stderr
        assert "choose another name" in done.stderr
    assert {file.name: file.read_text(encoding="utf-8") for file in profiles.iterdir()} == before


def test_there_is_no_second_instance_of_what_runs_elsewhere(clone: Path) -> None:
    variables = {"PINTEREST_DB_PASSWORD": "any", "DATABRICKS_TOKEN": "any"}
    done = run(clone, "pinflow", "--profile", "aws.example", "instance", "second", **variables)
    assert done.returncode == 1
    assert "stack is null" in done.stderr
    assert not (clone / "profiles" / "second.yaml").exists()


def test_kafkas_tools_say_what_to_install_where_there_are_no_jars(clone: Path) -> None:
    assert run(clone, "pinflow", "--help").returncode == 0  # it makes the environment
    done = run(clone, "kafka-topics.sh", "--list")
    assert done.returncode == 1
    assert "no Kafka container is running, and there are no jars in" in done.stderr
    assert "make install" in done.stderr
    assert "main class" not in done.stderr


def test_kafkas_tools_say_what_to_install_where_there_is_no_java(clone: Path) -> None:
    assert run(clone, "pinflow", "--help").returncode == 0
    jars, path = clone / ".pinflow" / "jars" / "kafka", clone / "path"
    jars.mkdir(parents=True)
    (jars / "kafka-tools.jar").touch()
    path.mkdir()
    for program in NEEDED:
        (path / program).symlink_to(str(shutil.which(program)))
    done = run(clone, "kafka-topics.sh", "--list", PATH=str(path), JAVA_HOME="")
    assert done.returncode == 1
    assert "Java: no `java` on PATH" in done.stderr
    assert "install a JRE" in done.stderr


@pytest.mark.parametrize("command", [["bin/pinflow", "where"], ["make", "where"]])
def test_bytecode_that_may_not_lie_beside_the_sources_is_kept_in_pinflows_own_directory(
    clone: Path, command: list[str]
) -> None:
    environment = {**os.environ, "PYTHON": sys.executable, "PROFILE": "local", "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("PYTHONPYCACHEPREFIX", None)
    done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert not list(clone.glob("*/__pycache__"))
    assert list((clone / ".pinflow" / "pycache").rglob("cli.*.pyc"))


def test_bytecode_lies_beside_the_sources_where_nothing_forbids_it(clone: Path) -> None:
    allowed = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": ""}
    assert run(clone, "pinflow", "where", **allowed).returncode == 0
    assert list((clone / "pinflow" / "__pycache__").glob("cli.*.pyc"))
    assert not (clone / ".pinflow" / "pycache").exists()
