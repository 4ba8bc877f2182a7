"""The images that are built from this repository are rebuilt when their files change."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from foundation.profile import ROOT
from pinflow.stack import images

DOCKERFILE = "ARG VERSION=1\nFROM scratch\nCOPY app/ app/\nCOPY locks/lock-${VERSION}.txt /tmp/lock.txt\n"


@pytest.fixture
def build(tmp_path: Path) -> dict[str, Any]:
    """A definition as `docker compose config` prints it."""
    for directory in ("app/__pycache__", "locks"):
        (tmp_path / directory).mkdir(parents=True)
    (tmp_path / "app" / "main.py").write_text("print(1)")
    for version in (1, 2):
        (tmp_path / "locks" / f"lock-{version}.txt").write_text("flask==1")
    (tmp_path / "app" / "Dockerfile").write_text(DOCKERFILE)
    return {"context": str(tmp_path), "dockerfile": "app/Dockerfile", "args": {"VERSION": "1"}}


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `docker` that writes down its calls with the label it was given, and knows of an image what stands in `has`."""
    directory = tmp_path / "bin"
    directory.mkdir()
    program = directory / "docker"
    program.write_text(
        f'#!/bin/sh\ncd {directory}\ncase "$1" in image) cat has;; *) echo "$@ $PINFLOW_INPUTS" >> calls; '
        "echo pulled 3 of 7; if [ -f slow ]; then sleep 5; fi;; esac\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:/usr/bin:/bin")
    return directory


def append(file: Path) -> None:
    file.write_text((file.read_text() if file.exists() else "") + "# changed")


def inspected(**labels: str) -> str:
    return json.dumps([{"Config": {"Labels": labels or None}}])


def calls(docker: Path) -> list[str]:
    return (docker / "calls").read_text().splitlines() if (docker / "calls").exists() else []


def get(image: str, build: dict[str, Any] | None) -> list[str]:
    """Have the image of `app`; returns what was said."""
    said: list[str] = []
    images.get({"app": {"image": image} | ({"build": build} if build else {})}, dict(os.environ), said.append)
    return said


@pytest.mark.parametrize("file", ["app/main.py", "app/Dockerfile", "locks/lock-1.txt", "app/new.py"])
def test_a_changed_file_is_another_image(build: dict[str, Any], file: str) -> None:
    before = images.inputs(build)
    append(Path(build["context"], file))
    assert images.inputs(build) != before


@pytest.mark.parametrize("file", ["app/__pycache__/main.pyc", "locks/lock-2.txt", "README.md"])
def test_a_file_that_is_not_copied_changes_nothing(build: dict[str, Any], file: str) -> None:
    before = images.inputs(build)
    append(Path(build["context"], file))
    assert images.inputs(build) == before


def test_another_argument_is_another_image(build: dict[str, Any]) -> None:
    assert images.inputs(build) != images.inputs(build | {"args": {"VERSION": "2"}})


@pytest.mark.parametrize("service", ["airflow", "connect", "databricks", "spark"])
def test_all_that_the_dockerfiles_copy_is_found(service: str) -> None:
    assert images.inputs({"context": str(ROOT), "dockerfile": f"services/{service}/Dockerfile"})


def test_an_image_of_older_files_is_rebuilt(build: dict[str, Any], docker: Path) -> None:
    (docker / "has").write_text(inspected(**{images.LABEL: "of yesterday"}))
    get("pinflow/app:0.1.0", build)
    assert calls(docker) == [f"compose build app {images.inputs(build)}"]


def test_an_image_from_before_there_were_labels_is_rebuilt(build: dict[str, Any], docker: Path) -> None:
    (docker / "has").write_text(inspected())
    get("pinflow/app:0.1.0", build)
    assert len(calls(docker)) == 1


def test_an_image_of_these_files_is_taken_as_it_is(build: dict[str, Any], docker: Path) -> None:
    (docker / "has").write_text(inspected(**{images.LABEL: images.inputs(build)}))
    assert get("pinflow/app:0.1.0", build) == []
    assert calls(docker) == []


def test_an_image_that_an_override_puts_in_its_place_is_taken_as_it_is(build: dict[str, Any], docker: Path) -> None:
    (docker / "has").write_text(inspected())
    get("pinflow/packages:0.1.0", build)
    get("mysql:8.4.6", None)
    assert calls(docker) == []


def test_what_docker_says_is_passed_on_while_it_takes_its_time(
    build: dict[str, Any], docker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "REPORT_INTERVAL", 0.3)
    monkeypatch.setattr(images, "LONGEST", 1.0)
    (docker / "slow").touch()
    (docker / "has").write_text("[]")
    said: list[str] = []
    with pytest.raises(images.NoImages, match="did not finish within"):
        images.get({"app": {"image": "pinflow/app:0.1.0", "build": build}}, dict(os.environ), said.append)
    assert "pulled 3 of 7" in said[-1]
