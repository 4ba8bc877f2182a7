"""A checkout in any folder: blanks, accents, percent signs and quotes in its path reach every program unharmed."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from supervisor.options import ServerOptions

from foundation import packages
from foundation.errors import PreflightError
from foundation.java import LOCALE, java
from foundation.profile import load
from pinflow import install, instance
from pinflow.stack import preflight
from pinflow.stack.supervision import Supervision
from services.airflow import native as airflow
from services.kafka import native as kafka
from services.spark import native as spark

FOLDERS = ["my projects/pin flow é", "100% %(here)s %41", 'it\'s "here"', "back\\slash $HOME `id`", "#1; a"]


@pytest.fixture(params=FOLDERS)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    found: Path = tmp_path / request.param
    found.mkdir(parents=True)
    yield found


def parsed(configuration: Path) -> ServerOptions:
    """The file as supervisord itself reads it."""
    options = ServerOptions()
    options.realize(["-c", str(configuration)])
    return options


def test_supervisord_reads_its_paths_as_they_are(folder: Path) -> None:
    profile = load(str(instance.write("local", folder / "p.yaml", folder / "state", 0)))
    stack = Supervision(profile, ["kafka"])
    stack._write_configuration()
    options = parsed(stack.configuration)
    (program,) = options.process_group_configs[0].process_configs
    assert shlex.split(program.command)[-2:] == ["kafka", str(profile.path)]
    assert Path(program.stdout_logfile).resolve() == stack.log("kafka")
    assert Path(options.pidfile) == stack.pid_file
    assert Path(options.server_configs[0]["file"]) == stack.socket


def test_the_profile_of_a_stack_is_found_again(folder: Path) -> None:
    profile = load(str(instance.write("local", folder / "p.yaml", folder / "state", 0)))
    Supervision(profile, ["kafka"])._write_configuration()
    assert install.launched_with(profile.home) == profile.path


def test_kafkas_settings_name_no_path(folder: Path) -> None:
    profile = load(str(instance.write("local", folder / "p.yaml", folder / "state", 0)))
    assert [value for value in kafka.variables(profile).values() if str(folder) in value] == []


def test_log4js_settings_are_a_uri_without_anything_that_log4j_would_split_or_decode(tmp_path: Path) -> None:
    option = kafka.logging_option(tmp_path / "a,b 50%20 é" / "log4j2.yaml")
    assert option == f"-Dlog4j2.configurationFile=file://{tmp_path}/a%2Cb%2050%2520%20%C3%A9/log4j2.yaml"


@pytest.mark.skipif(not LOCALE, reason="Java decodes paths as UTF-8 in any locale")
def test_java_finds_a_path_with_an_accent_in_any_locale(tmp_path: Path) -> None:
    """What a service gets from the launcher, started by somebody whose locale is C."""
    source = tmp_path / "Seen.java"
    source.write_text(
        "class Seen { public static void main(String[] a) { System.exit(new java.io.File(a[0]).isFile() ? 0 : 3); } }"
    )
    file = tmp_path / "é"
    file.touch()
    command = [str(java()), "-XX:TieredStopAtLevel=1", str(source), str(file)]
    assert subprocess.run(command, env={**os.environ, "LC_ALL": "C"}, check=False).returncode == 3
    assert subprocess.run(command, env={**os.environ, "LC_ALL": "C", **LOCALE}, check=False).returncode == 0


def test_sparks_python_is_found_by_a_shell_that_is_asked_without_quotes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So Spark does it (Utils.checkCommandAvailable), and looks for no data sources in Python where it is not found."""
    monkeypatch.setattr(packages, "PACKAGES", folder / ".pinflow")
    python = packages.python("spark")
    python.parent.mkdir(parents=True)
    python.touch(mode=0o755)
    profile = load(str(instance.write("local", folder / "p.yaml", folder / "state", 0)))
    variables = spark.command(profile).environment
    shell = ["sh", "-c", f"command -v {variables['PYSPARK_PYTHON']}"]
    done = subprocess.run(shell, env={**os.environ, **variables}, capture_output=True, text=True, check=True)
    assert Path(done.stdout.removesuffix("\n")) == python


@pytest.mark.parametrize("character", [":", ","])
def test_a_path_that_java_or_spark_would_split_is_refused(tmp_path: Path, character: str) -> None:
    with pytest.raises(PreflightError, match=f"contains `{character}`, at which"):
        preflight.check_path("stack.directory", tmp_path / f"a{character}b")


def test_a_path_that_airflow_would_interpolate_is_refused(tmp_path: Path) -> None:
    profile = load(str(instance.write("local", tmp_path / "p.yaml", tmp_path / "50% done", 0)))
    with pytest.raises(PreflightError, match="reads the `%` in the path"):
        airflow.prepare(profile)
