"""bin/kafka-*.sh where Docker runs the services: without jars and without Java, in Kafka's container."""

from __future__ import annotations

from pathlib import Path

import pytest

from foundation import packages
from foundation.errors import PinflowError
from pinflow.kafka_tools import arguments
from pinflow.stack.compose import ComposeStack, Container

EXEC = ["docker", "exec", "-i", "c0ffee", "/opt/kafka/bin/kafka-topics.sh", "--list"]


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The state of Kafka's container; without one there is none. Jars are not installed."""
    found: dict[str, str] = {}

    def containers(stack: ComposeStack) -> dict[str, Container]:
        return {name: Container("c0ffee", "apache/kafka:4.1.0", s, 1, 0, 1.0, 0) for name, s in found.items()}

    monkeypatch.setattr(ComposeStack, "containers", containers)
    monkeypatch.setattr(packages, "jars", lambda name: tmp_path)
    monkeypatch.setenv("PROFILE", "local")
    monkeypatch.setattr("sys.stdout.isatty", lambda: False, raising=False)
    return found


def test_the_container_s_own_tool_runs_against_its_broker(state: dict[str, str]) -> None:
    state["kafka"] = "running"
    assert arguments("kafka-topics", ["--list"]) == [*EXEC, "--bootstrap-server", "kafka:9092"]


def test_brokers_that_are_given_come_first(state: dict[str, str]) -> None:
    state["kafka"] = "running"
    assert arguments("kafka-topics", ["--list", "--bootstrap-server=b:1"]) == [*EXEC, "--bootstrap-server=b:1"]


@pytest.mark.parametrize(
    ("stdin", "stdout", "options"), [(True, True, ["-i", "-t"]), (True, False, ["-i"]), (False, True, ["-i"])]
)
def test_on_a_terminal_ctrl_c_reaches_the_tool(
    state: dict[str, str], monkeypatch: pytest.MonkeyPatch, stdin: bool, stdout: bool, options: list[str]
) -> None:
    """Without a terminal of its own it would read on in the container for ever: https://github.com/moby/moby/issues/9098"""
    state["kafka"] = "running"
    monkeypatch.setattr("sys.stdin.isatty", lambda: stdin, raising=False)
    monkeypatch.setattr("sys.stdout.isatty", lambda: stdout, raising=False)
    command = arguments("kafka-console-consumer", ["--topic", "t"])
    assert command[2 : command.index("c0ffee")] == options


@pytest.mark.parametrize("container", ["exited", ""])
def test_without_container_and_jars_it_says_both_ways(state: dict[str, str], container: str) -> None:
    if container:
        state["kafka"] = container
    with pytest.raises(PinflowError, match="no Kafka container is running, and there are no jars") as error:
        arguments("kafka-topics", ["--list"])
    assert "make up" in error.value.fix
    assert "make install" in error.value.fix
