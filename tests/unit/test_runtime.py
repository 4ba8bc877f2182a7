"""Containers or processes: which is taken and why, with a `docker` on PATH that answers as a real one would."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import psutil
import pytest

from foundation.errors import PinflowError, PreflightError
from foundation.profile import Profile, load
from pinflow import install, instance
from pinflow.stack import runtime
from pinflow.stack.compose import ComposeStack
from pinflow.stack.images import NoImages
from pinflow.stack.native import NativeStack
from pinflow.stack.start import Vitals
from pinflow.stack.supervision import Supervision

SECRET = "canary-7d1f"
NO_ENGINE = "info) echo 'Cannot connect to the Docker daemon' >&2; exit 1;;"
ENGINE = "info) echo 26000000000;;"
CONTAINER: dict[str, Any] = {
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
    # On ports of its own: whoever runs the tests may have a stack up.
    file = instance.write("local", tmp_path / "p.yaml", tmp_path / "state", instance.free_offset("local"))
    text = file.read_text().split("  services:")[0] + "  services: [mysql, kafka]\n  dump: null\n"
    file.write_text(text)
    return load(str(file))


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was installed and the services that were started natively, in order; nothing of it is really done."""
    done: list[str] = []
    monkeypatch.setattr(install, "main", lambda wanted, profile: done.append(f"installed all of {Path(profile).name}"))
    monkeypatch.setattr(NativeStack, "up", lambda self, say: done.extend(s.name for s in self.services))
    return done


def test_without_docker_it_runs_natively_and_says_why(docker: Docker, profile: Profile, started: list[str]) -> None:
    said: list[str] = []
    runtime.up(profile, said.append)
    assert started == ["installed all of p.yaml", "mysql", "kafka"]
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
    assert started == ["installed all of p.yaml", "mysql", "kafka"]
    assert said[-1].startswith("starting without Docker (mysql: no image mysql:1.2.3 here")
    assert "connection refused" in said[-1]
    monkeypatch.setenv("RUNTIME", "compose")
    with pytest.raises(NoImages):
        runtime.up(profile, said.append)


def test_in_containers_nothing_is_installed(
    docker: Docker, profile: Profile, started: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    docker.answers(ENGINE)
    monkeypatch.setattr(ComposeStack, "up", lambda self, say: None)
    assert isinstance(runtime.up(profile, print), ComposeStack)
    assert started == []


def test_what_cannot_be_installed_is_said_after_why_it_was_wanted(
    docker: Docker, profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_java(wanted: list[str], profile: str) -> None:
        raise PreflightError("Java: no `java` on PATH", "install a JRE")

    monkeypatch.setattr(install, "main", no_java)
    said: list[str] = []
    with pytest.raises(PreflightError, match="Java: no `java` on PATH") as error:
        runtime.up(profile, said.append)
    assert error.value.fix == "install a JRE"
    assert said[0].startswith("starting without Docker (no `docker` on PATH)")


def test_what_runs_natively_is_stopped_so_also_where_containers_are_asked_for(
    docker: Docker, profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker.answers(ENGINE)
    monkeypatch.setattr(Supervision, "alive", lambda self: True)
    monkeypatch.setenv("RUNTIME", "compose")
    assert isinstance(runtime.current(profile), NativeStack)
    with pytest.raises(PinflowError, match="runs without Docker already") as error:
        runtime.up(profile, print)
    assert "make down" in str(error.value)


def test_what_a_killed_supervisor_left_counts_as_running_natively_until_down_has_ended_it(
    docker: Docker, profile: Profile
) -> None:
    docker.answers(ENGINE)
    run = profile.home / "run"
    run.mkdir(parents=True)
    with subprocess.Popen(["sleep", "60"]) as orphan:
        (run / "mysql.pid").write_text(f"{orphan.pid} {psutil.Process(orphan.pid).create_time()}")
        stack = runtime.current(profile)
        assert isinstance(stack, NativeStack)
        said: list[str] = []
        stack.down(said.append)
        assert said == ["stopped processes orphaned by a killed supervisor: mysql"]
        assert not psutil.pid_exists(orphan.pid)
    assert isinstance(runtime.current(profile), ComposeStack)


def test_a_process_that_has_just_ended_does_not_save_the_rest_of_its_family(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow ends its programs itself: one of them may be gone before it gets its signal."""
    stack = NativeStack(load(str(instance.write("local", tmp_path / "p.yaml", tmp_path / "state", 1000))))
    run = stack.profile.home / "run"
    run.mkdir(parents=True)
    with subprocess.Popen(["sleep", "60"]) as orphan, subprocess.Popen(["sleep", "60"]) as child:
        gone = subprocess.Popen(["sleep", "60"])
        family = [psutil.Process(gone.pid), psutil.Process(child.pid)]
        gone.kill()
        gone.wait()
        monkeypatch.setattr(psutil.Process, "children", lambda process, recursive: family)
        (run / "airflow.pid").write_text(f"{orphan.pid} {psutil.Process(orphan.pid).create_time()}")
        try:
            assert stack.supervision.stop_orphans() == ["airflow"]
            assert not psutil.pid_exists(child.pid)
        finally:
            child.kill()


def test_a_number_that_another_process_has_by_now_is_no_service(docker: Docker, profile: Profile) -> None:
    docker.answers(ENGINE)
    run = profile.home / "run"
    run.mkdir(parents=True)
    (run / "mysql.pid").write_text(f"{psutil.Process().pid} {psutil.Process().create_time() - 1000}")
    (run / "kafka.pid").write_text("")  # it is just being written
    assert isinstance(runtime.current(profile), ComposeStack)


def test_directories_of_the_same_name_are_different_projects(docker: Docker, tmp_path: Path) -> None:
    first, second = (
        ComposeStack(load(str(instance.write("local", tmp_path / f"{one}.yaml", tmp_path / one / "local", 0)))).project
        for one in ("a", "b")
    )
    assert first != second
    assert first.startswith("pinflow-local-")
    assert second.startswith("pinflow-local-")


def test_reset_of_containers_leaves_what_somebody_else_put_beside_the_tables(docker: Docker, profile: Profile) -> None:
    docker.answers(ENGINE, compose="ps) ;; down) ;;")
    (profile.home / "spark").mkdir(parents=True)
    (profile.home / "thesis.tex").touch()
    ComposeStack(profile).reset(print)
    assert [path.name for path in profile.home.iterdir()] == ["thesis.tex"]
    assert "down --remove-orphans --volumes" in docker.calls.read_text()


def config(services: dict[str, dict[str, Any]]) -> str:
    """A case of `docker compose` that answers with these definitions."""
    return f"config) echo '{json.dumps({'services': services})}';;"


def test_docker_needs_memory_for_the_services_of_the_profile_only(
    docker: Docker, profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIME", "compose")
    of_two: dict[str, dict[str, Any]] = {name: {"image": f"pinflow/packages:{name}"} for name in ("mysql", "kafka")}
    docker.answers("info) echo 1500000000;;", compose=f"version) echo 2.26.1;; ps) ;; {config(of_two)}")
    with pytest.raises(
        PreflightError, match=r"memory: Docker has 1\.5 GB, the stack needs 1\.\d GB: mysql 0\.2, kafka 0\.3"
    ):
        runtime.up(profile, print)
    # The image takes more than what runs natively: the compose file says so.
    of_two["kafka"] = {"image": "apache/kafka:4.1.0", "mem_reservation": str(700 * 2**20)}
    docker.answers("info) echo 2000000000;;", compose=f"version) echo 2.26.1;; ps) ;; {config(of_two)}")
    with pytest.raises(PreflightError, match=r"the stack needs 2\.\d GB: mysql 0\.2, kafka 0\.7"):
        runtime.up(profile, print)


class Watched:
    """In the place of Start: what the stack takes for running, and what it calls its services, when it is to start."""

    seen: ClassVar[dict[str, bool]] = {}
    titles: ClassVar[dict[str, str]] = {}

    def __init__(self, stack: ComposeStack, say: Any, patience: float) -> None:
        self.stack = stack

    def run(self) -> None:
        Watched.seen = {one.name: self.stack.running(one.name) for one in self.stack.services}
        Watched.titles = {one.name: one.title for one in self.stack.services}


@pytest.fixture
def changed(docker: Docker, monkeypatch: pytest.MonkeyPatch) -> Docker:
    """MySQL and Kafka run; Kafka is defined otherwise now, so that Compose makes its container anew."""
    monkeypatch.setattr("pinflow.stack.compose.Start", Watched)
    monkeypatch.setattr("pinflow.stack.images.get", lambda *given: None)
    services = {"mysql": {"image": "pinflow/packages:0.1.0"}, "kafka": {"image": "apache/kafka:4.1.0"}}

    def inspected(kafka: str) -> str:
        states = {"mysql": "running", "kafka": kafka}
        return json.dumps(
            [
                {
                    **CONTAINER,
                    "Id": name,
                    "Config": {"Image": "i", "Labels": {"com.docker.compose.service": name}},
                    "State": {**CONTAINER["State"], "Status": status},
                }
                for name, status in states.items()
            ]
        )

    replaced = docker.directory / "replaced"
    docker.answers(
        ENGINE,
        f"inspect) if [ -f {replaced} ]; then echo '{inspected('created')}'; else echo '{inspected('running')}'; fi;;",
        compose=f"version) echo 2.26.1;; ps) echo mysql kafka;; {config(services)} "
        f'up|--progress) case "$*" in *--no-start*) touch {replaced};; *) [ ! -f {replaced}.failing ] || '
        "{ echo 'dependency failed to start' >&2; exit 1; };; esac;;",
    )
    return docker


def test_a_container_that_compose_replaces_is_not_taken_for_one_that_runs(changed: Docker, profile: Profile) -> None:
    said: list[str] = []
    runtime.up(profile, said.append)
    assert Watched.seen == {"mysql": True, "kafka": False}
    assert said[1:] == ["restarting kafka: settings or images have changed"]
    ups = [line for line in changed.calls.read_text().splitlines() if " up " in line]
    assert ["--no-start" in line for line in ups] == [True, False]
    assert all(line.endswith(" mysql kafka") for line in ups)


def test_a_container_that_compose_could_not_start_is_a_failure_whatever_the_probes_say(
    changed: Docker, profile: Profile
) -> None:
    (changed.directory / "replaced.failing").touch()
    with pytest.raises(PinflowError, match="`docker compose up` failed: dependency failed to start"):
        runtime.up(profile, print)


def test_what_runs_is_called_by_its_image_unless_that_holds_what_runs_natively(
    changed: Docker, profile: Profile
) -> None:
    runtime.up(profile, print)
    assert Watched.titles["kafka"] == "apache/kafka:4.1.0"
    assert "MariaDB" in Watched.titles["mysql"]


def test_with_a_rootless_engine_spark_writes_as_root_who_is_the_person_there(docker: Docker, profile: Profile) -> None:
    docker.answers(ENGINE)
    usual = ComposeStack(profile).environment()
    assert usual["PINFLOW_USER"].split(":")[0] == usual["PINFLOW_USER_ID"] != "0"
    docker.answers("info) echo '[name=seccomp,profile=builtin name=rootless name=cgroupns]';;")
    rootless = ComposeStack(profile).environment()
    assert (rootless["PINFLOW_USER"], rootless["PINFLOW_USER_ID"]) == ("0:0", usual["PINFLOW_USER_ID"])


def test_status_tells_of_a_container_that_ended(docker: Docker, profile: Profile) -> None:
    docker.answers(
        ENGINE,
        f"inspect) echo '{json.dumps([CONTAINER])}';;",
        compose="ps) echo c0ffee;; logs) echo 'no space left on device';;",
    )
    health = {one.name: one for one in ComposeStack(profile).health()}
    assert (health["mysql"].state, health["kafka"].state) == ("stopped", "failed")
    assert health["kafka"].title == "apache/kafka:4.1.0"
    assert "exited, exit status 137; last log line: no space left on device" in health["kafka"].detail


def test_a_container_that_restarts_again_and_again_is_failed_and_counts_as_exits(
    docker: Docker, profile: Profile
) -> None:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.0Z")
    running = {**CONTAINER["State"], "Status": "running", "Running": True, "StartedAt": now}

    def restarted(count: int) -> None:
        inspected = json.dumps([{**CONTAINER, "State": running, "RestartCount": count}])
        docker.answers(
            ENGINE,
            f"inspect) echo '{inspected}';;",
            "ps) echo c0ffee;;",
            "top) printf 'PID TIME\\n1 00:01:05\\n7 1-00:00:01\\n';;",
            "stats) ;;",
            compose="ps) echo c0ffee;; logs) echo 'no space left on device';;",
        )

    stack = ComposeStack(profile)
    restarted(2)
    assert {one.name: one.state for one in stack.health()}["kafka"] == "starting"
    stack._preflight()  # what an `up` begins with: only exits from then on count
    assert stack.vitals("kafka") == Vitals(exits=0, cpu=65 + 86401)
    restarted(5)
    assert stack.vitals("kafka").exits == 3
    health = {one.name: one for one in stack.health()}["kafka"]
    assert (health.state, health.detail) == ("failed", "exited 5 times; last log line: no space left on device")


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
