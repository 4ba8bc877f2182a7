"""Containers or processes: which is taken and why, with a `docker` on PATH that answers as a real one would."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pinflow import instance
from pinflow.errors import PinflowError
from pinflow.profile import Profile, load
from pinflow.stack import runtime
from pinflow.stack.compose import ComposeStack, NoImages
from pinflow.stack.native import NativeStack

SECRET = "canary-7d1f"
NO_ENGINE = "info) echo 'Cannot connect to the Docker daemon' >&2; exit 1;;"
ENGINE = "info) echo 26000000000;;"
CONTAINER = {
    "Id": "c0ffee",
    "Config": {"Image": "apache/kafka:4.1.0", "Labels": {"com.docker.compose.service": "kafka"}},
    "State": {"Status": "exited", "Running": False, "Pid": 0, "ExitCode": 137, "StartedAt": "2026-01-01T00:00:00Z"},
}


class Docker:
    """A directory for PATH with a `docker` of one's own; writes down how it was called."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.calls = directory, directory / "calls"

    def answers(self, *cases: str, compose: str = "version) echo 2.26.1;;") -> None:
        """Cases of a shell's `case` on the first word, and on the word after `compose`."""
        program = self.directory / "docker"
        program.write_text(
            f'#!/bin/sh\necho "$@" >> {self.calls}\n'
            f'case "$1" in {" ".join(cases)}\ncompose) case "$2" in {compose} esac;;\n*) exit 1;; esac\n'
        )
        program.chmod(0o755)


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Docker:
    """No `docker` at all, until the test makes it answer."""
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", f"{directory}:/usr/bin:/bin")
    monkeypatch.setattr("shutil.which", lambda name: str(p) if (p := directory / name).exists() else None)
    monkeypatch.setenv("RUNTIME", "")
    return Docker(directory)


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    file = instance.write("local", tmp_path / "p.yaml", tmp_path / "state", 0)
    text = file.read_text().split("  services:")[0] + "  services: [mysql, kafka]\n  dump: null\n"
    file.write_text(text)
    return load(str(file))


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the services that were started natively; nothing is really started."""
    names: list[str] = []
    monkeypatch.setattr(NativeStack, "up", lambda self, say: names.extend(s.name for s in self.services))
    return names


def test_without_docker_it_runs_natively_and_says_why(docker: Docker, profile: Profile, started: list[str]) -> None:
    said: list[str] = []
    runtime.up(profile, said.append)
    assert started == ["mysql", "kafka"]
    assert said[0].startswith("starting without Docker (no `docker` on PATH), state in ")


def test_a_docker_whose_engine_does_not_answer_is_none(docker: Docker, profile: Profile, started: list[str]) -> None:
    docker.answers(NO_ENGINE)
    said: list[str] = []
    runtime.up(profile, said.append)
    assert "no Docker engine answers" in said[0]
    assert isinstance(runtime.current(profile), NativeStack)


def test_an_engine_that_answers_is_taken_unless_native_is_asked_for(
    docker: Docker, profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker.answers(ENGINE)
    assert isinstance(runtime.current(profile), ComposeStack)
    monkeypatch.setenv("RUNTIME", "native")
    assert isinstance(runtime.current(profile), NativeStack)


def test_an_engine_without_compose_is_none(docker: Docker, profile: Profile) -> None:
    docker.answers(ENGINE, compose="version) exit 1;;")
    assert isinstance(runtime.current(profile), NativeStack)


def test_containers_asked_for_and_not_to_be_had_is_an_error(
    docker: Docker, profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIME", "compose")
    with pytest.raises(PinflowError, match="RUNTIME=compose: no `docker` on PATH"):
        runtime.up(profile, print)
    monkeypatch.setenv("RUNTIME", "podman")
    with pytest.raises(PinflowError, match="RUNTIME=podman"):
        runtime.current(profile)


def test_an_engine_without_images_starts_natively_and_says_what_is_missing(
    docker: Docker, profile: Profile, started: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    services = {name: {"image": f"{name}:1.2.3"} for name in ("mysql", "kafka")}
    docker.answers(
        ENGINE,
        "image) exit 1;;",
        compose=f"version) echo 2.26.1;; ps) ;; config) echo '{json.dumps({'services': services})}';; "
        "pull) echo 'dial tcp: connection refused' >&2; exit 1;;",
    )
    said: list[str] = []
    runtime.up(profile, said.append)
    assert started == ["mysql", "kafka"]
    assert said[-1].startswith("starting without Docker after all: mysql: no image mysql:1.2.3 here")
    assert "connection refused" in said[-1]
    monkeypatch.setenv("RUNTIME", "compose")
    with pytest.raises(NoImages):
        runtime.up(profile, said.append)


def test_status_tells_of_a_container_that_ended(docker: Docker, profile: Profile) -> None:
    docker.answers(
        f"inspect) echo '{json.dumps([CONTAINER])}';;",
        compose="ps) echo c0ffee;; logs) echo 'no space left on device';;",
    )
    health = {one.name: one for one in ComposeStack(profile).health()}
    assert (health["mysql"].state, health["kafka"].state) == ("stopped", "failed")
    assert health["kafka"].title == "apache/kafka:4.1.0"
    assert "exited, exit status 137; its last words: no space left on device" in health["kafka"].detail


def test_secrets_reach_docker_by_its_environment_only(
    docker: Docker, profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PINFLOW_DATABASE_PASSWORD", SECRET)
    docker.answers(ENGINE, compose="ps) ;; down) ;;")
    stack = ComposeStack(load(str(profile.path)))
    assert stack.environment()["PINFLOW_DATABASE_PASSWORD"] == SECRET
    stack.down(print)
    assert "compose down" in docker.calls.read_text()
    assert SECRET not in docker.calls.read_text()
