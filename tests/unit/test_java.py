"""Which Java is used, and what is said where there is none that serves."""

from __future__ import annotations

from pathlib import Path

import pytest

from foundation.errors import PreflightError
from foundation.java import java


def fake_java(home: Path, script: str) -> Path:
    """A JAVA_HOME whose `java` is a shell script; returns the directory for PATH."""
    executable = home / "bin" / "java"
    executable.parent.mkdir(parents=True)
    executable.write_text(f"#!/bin/sh\n{script}\n")
    executable.chmod(0o755)
    return executable.parent


def on_path(monkeypatch: pytest.MonkeyPatch, *directories: Path) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", ":".join([*map(str, directories), "/bin"]))


def says(version: str) -> str:
    return f"echo 'openjdk version \"{version}\" 2026-01-01' >&2"


@pytest.mark.parametrize("version", ["17", "17.0.15", "21.0.2", "25-ea"])
def test_java_from_17_on_is_taken(version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_path(monkeypatch, fake_java(tmp_path, says(version)))
    assert java() == tmp_path / "bin" / "java"


def test_what_else_java_prints_is_not_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_path(monkeypatch, fake_java(tmp_path, f"echo 'Picked up JAVA_TOOL_OPTIONS: -Da=11' >&2; {says('21.0.2')}"))
    assert java() == tmp_path / "bin" / "java"


@pytest.mark.parametrize(("version", "seen"), [("1.8.0_402", "8"), ("11.0.22", "11")])
def test_an_older_java_is_named(version: str, seen: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_path(monkeypatch, fake_java(tmp_path, says(version)))
    with pytest.raises(PreflightError, match=rf"is version {seen}; Kafka and Spark need 17") as error:
        java()
    assert "JAVA_HOME" in str(error.value)
    assert "openjdk-17" in str(error.value)


def test_no_java_says_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PreflightError, match="no `java` on PATH") as error:
        java()
    assert "install a JRE" in str(error.value)


def test_java_home_comes_before_path_as_it_does_for_spark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_path(monkeypatch, fake_java(tmp_path / "new", says("21")))
    fake_java(tmp_path / "old", says("11.0.22"))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "old"))
    with pytest.raises(PreflightError, match="old/bin/java is version 11"):
        java()
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "nowhere"))
    with pytest.raises(PreflightError, match=r"JAVA_HOME=\S+/nowhere has no bin/java"):
        java()
    monkeypatch.setenv("JAVA_HOME", "")
    assert java() == tmp_path / "new" / "bin" / "java"


@pytest.mark.parametrize(
    ("script", "found"),
    [
        # What macOS has at /usr/bin/java where no Java is installed.
        ("echo 'Unable to locate a Java Runtime.' >&2; exit 1", r"\(status 1\): Unable to locate a Java Runtime"),
        (f"{says('17.0.15')}; exit 134", r"\(status 134\): openjdk version"),
        ("true", r"\(status 0\): no output"),
        ("exec /nowhere/java", r"\(status 127\): .*/nowhere/java"),
    ],
)
def test_a_java_that_does_not_run_says_what_it_said(
    script: str, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_path(monkeypatch, fake_java(tmp_path, script))
    with pytest.raises(PreflightError, match=rf"`\S+/java -version` failed {found}") as error:
        java()
    assert "install a JRE" in str(error.value)
