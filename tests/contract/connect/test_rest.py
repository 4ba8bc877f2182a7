"""The Connect REST API, against what a worker of Apache Kafka 4.3.1 answered to the same calls."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
import requests

from tests.contract.connect.world import Pipe, World, numbered, wait_for

NOT_FOUND = [
    ("GET", "", "Connector none not found"),
    ("GET", "/config", "Connector none not found"),
    ("GET", "/status", "No status found for connector none"),
    ("GET", "/tasks", "Connector none not found"),
    ("GET", "/offsets", "Connector none not found"),
    ("DELETE", "/offsets", "Connector none not found"),
    ("PUT", "/pause", "Unknown connector none"),
    ("PUT", "/resume", "Unknown connector none"),
    ("PUT", "/stop", "Unknown connector none"),
    ("POST", "/restart", "Unknown connector: none"),
    ("POST", "/tasks/0/restart", "Unknown connector: none"),
    ("DELETE", "", "Connector none not found"),
]


def error(answer: requests.Response) -> str:
    """The message of an error answer, whose code must be the status."""
    assert answer.json()["error_code"] == answer.status_code
    return str(answer.json()["message"])


@pytest.mark.parametrize(("method", "path", "message"), NOT_FOUND)
def test_an_unknown_connector_is_a_404(world: World, method: str, path: str, message: str) -> None:
    answer = world.call(method, f"/connectors/none{path}")
    assert (answer.status_code, error(answer)) == (404, message)


def test_the_root_says_that_it_is_a_stand_in(world: World) -> None:
    about = world.call("GET", "/").json()
    assert set(about) == {"version", "commit", "kafka_cluster_id"}
    assert "stand-in" in about["version"]


def test_a_connector_is_created_updated_and_deleted(pipe: Pipe) -> None:
    created = pipe.put()
    assert (created.status_code, created.json()["tasks"]) == (201, [])
    assert created.headers["location"].endswith(pipe.path)
    updated = pipe.put(flush__size="7")
    assert updated.status_code == 200
    assert updated.json() == {
        "name": pipe.name,
        "config": pipe.config(flush__size="7"),
        "tasks": [{"connector": pipe.name, "task": 0}],
        "type": "sink",
    }
    assert pipe.world.call("GET", f"{pipe.path}/config").json() == pipe.config(flush__size="7")
    assert pipe.name in pipe.world.call("GET", "/connectors").json()
    assert pipe.world.call("DELETE", pipe.path).status_code == 204
    assert pipe.world.call("GET", pipe.path).status_code == 404


def test_post_creates_and_refuses_what_exists(pipe: Pipe) -> None:
    body = {"name": pipe.name, "config": pipe.config()}
    assert pipe.world.call("POST", "/connectors", body).status_code == 201
    again = pipe.world.call("POST", "/connectors", body)
    assert (again.status_code, error(again)) == (409, f"Connector {pipe.name} already exists")


def test_numbers_and_booleans_become_texts(pipe: Pipe) -> None:
    config: dict[str, Any] = {**pipe.config(), "flush.size": 5, "errors.log.enable": True}
    answer = pipe.world.call("PUT", f"{pipe.path}/config", config).json()["config"]
    assert (answer["flush.size"], answer["errors.log.enable"]) == ("5", "true")


def test_patch_changes_single_options(pipe: Pipe) -> None:
    pipe.put()
    answer = pipe.world.call("PATCH", f"{pipe.path}/config", {"flush.size": "9", "errors.log.enable": None})
    assert answer.status_code == 200
    expected = pipe.config(flush__size="9", errors__log__enable=None)
    assert answer.json()["config"] == expected


def test_the_status_shows_connector_and_tasks(pipe: Pipe) -> None:
    pipe.put(tasks__max="2")
    wait_for("the tasks", lambda: pipe.states() == ["RUNNING", "RUNNING"])
    status = pipe.world.call("GET", f"{pipe.path}/status").json()
    worker = status["connector"]["worker_id"]
    about = {"state": "RUNNING", "worker_id": worker, "version": status["connector"]["version"]}
    assert status == {
        "name": pipe.name,
        "connector": about,
        "tasks": [{"id": 0, **about}, {"id": 1, **about}],
        "type": "sink",
    }
    listed = pipe.world.call("GET", "/connectors?expand=status&expand=info").json()[pipe.name]
    assert listed["status"] == status
    assert listed["info"] == pipe.world.call("GET", pipe.path).json()
    assert pipe.world.call("GET", f"{pipe.path}/tasks/1/status").json()["state"] == "RUNNING"
    missing = pipe.world.call("GET", f"{pipe.path}/tasks/9/status")
    assert error(missing) == f"No status found for task {pipe.name}-9"


def test_pause_and_resume(pipe: Pipe) -> None:
    pipe.put(flush__size="1")
    assert pipe.world.call("PUT", f"{pipe.path}/pause").status_code == 202
    assert pipe.states() == ["PAUSED"]
    pipe.send(numbered(0, 1))
    assert pipe.objects() == {}
    assert pipe.world.call("PUT", f"{pipe.path}/resume").status_code == 202
    pipe.wait_committed(1)


def test_a_stopped_connector_has_no_tasks(pipe: Pipe) -> None:
    pipe.put()
    assert pipe.world.call("PUT", f"{pipe.path}/stop").status_code == 204
    status = pipe.world.call("GET", f"{pipe.path}/status").json()
    assert (status["connector"]["state"], status["tasks"]) == ("STOPPED", [])
    assert pipe.world.call("GET", f"{pipe.path}/tasks").json() == []


def test_restarts(pipe: Pipe) -> None:
    pipe.put()
    assert pipe.world.call("POST", f"{pipe.path}/restart").status_code == 204
    assert pipe.world.call("POST", f"{pipe.path}/restart?includeTasks=true").status_code == 202
    assert pipe.world.call("POST", f"{pipe.path}/tasks/0/restart").status_code == 204
    unknown = pipe.world.call("POST", f"{pipe.path}/tasks/7/restart")
    assert (unknown.status_code, error(unknown)) == (404, f"Unknown task: {pipe.name}-7")
    wait_for("the task", lambda: pipe.states() == ["RUNNING"])


def test_offsets_can_be_reset_only_when_stopped(pipe: Pipe) -> None:
    pipe.put(flush__size="1")
    pipe.send(numbered(0, 1))
    pipe.wait_committed(1)
    refused = pipe.world.call("DELETE", f"{pipe.path}/offsets")
    assert refused.status_code == 400
    assert "must be in the STOPPED state" in error(refused)
    pipe.world.call("PUT", f"{pipe.path}/stop")
    done = pipe.world.call("DELETE", f"{pipe.path}/offsets")
    assert (done.status_code, "have been reset successfully" in done.json()["message"]) == (200, True)
    assert pipe.world.call("GET", f"{pipe.path}/offsets").json() == {"offsets": []}


def test_the_offsets_are_those_of_the_consumer_group(pipe: Pipe) -> None:
    pipe.put(flush__size="1")
    pipe.send(numbered(0, 3))
    pipe.wait_committed(3)
    admin = pipe.world.admin()
    ((partition, offset),) = admin.list_group_offsets(f"connect-{pipe.name}")[f"connect-{pipe.name}"].items()
    admin.close()
    assert (partition.topic, partition.partition, offset.offset) == (pipe.topic, 0, 3)


def test_connectors_and_their_states_survive_a_kill(pipe: Pipe) -> None:
    pipe.put(flush__size="3")
    pipe.world.call("PUT", f"{pipe.path}/pause")
    pipe.world.sink.kill()
    pipe.world.sink.start()
    assert pipe.world.call("GET", f"{pipe.path}/config").json() == pipe.config(flush__size="3")
    assert pipe.states() == ["PAUSED"]


def test_an_option_that_is_not_implemented_is_refused_by_name(pipe: Pipe) -> None:
    answer = pipe.put(s3__acl__canned="private", s3__bukket__name="x")
    assert answer.status_code == 400
    assert 'Option "s3.acl.canned" of the Confluent S3 sink is refused' in error(answer)
    assert 'Option "s3.bukket.name" is not known' in error(answer)
    assert "Implemented: name, connector.class, tasks.max" in error(answer)


def test_what_is_wrong_with_a_configuration_is_listed(pipe: Pipe) -> None:
    answer = pipe.put(topics="a", flush__size="x", s3__bucket__name=None, s3__part__size="5")
    assert answer.status_code == 400
    lines = error(answer).splitlines()
    assert lines[0] == "Connector configuration is invalid and contains the following 4 error(s):"
    assert set(lines[1:5]) == {
        'Missing required configuration "s3.bucket.name" which has no default value.',
        "Invalid value x for configuration flush.size: Not a number of type INT",
        "Invalid value 5 for configuration s3.part.size: Part size must be at least: 5242880 bytes (5MB)",
        "topics and topics.regex are mutually exclusive options, but both are set.",
    }


def test_a_refused_update_changes_nothing(pipe: Pipe) -> None:
    pipe.put(flush__size="3")
    assert pipe.put(flush__size="0").status_code == 400
    assert pipe.world.call("GET", f"{pipe.path}/config").json()["flush.size"] == "3"


@pytest.mark.parametrize("name", ["a/b", "süß 日本", "100%2F"])
def test_a_connector_can_be_called_by_whatever_name_is_taken(pipe: Pipe, name: str) -> None:
    name = f"{name}-{pipe.uid}"
    path = f"/connectors/{quote(name, safe='')}"
    created = pipe.world.call("POST", "/connectors", {"name": name, "config": pipe.config(name=name)})
    assert (created.status_code, created.json()["name"]) == (201, name)
    assert created.headers["location"].endswith(path)
    wait_for("the task", lambda: pipe.world.call("GET", f"{path}/tasks/0/status").json()["state"] == "RUNNING")
    assert pipe.world.call("PUT", f"{path}/config", pipe.config(name=name, flush__size="7")).status_code == 200
    assert pipe.world.call("DELETE", path).status_code == 204
    assert name not in pipe.world.call("GET", "/connectors").json()


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "String may not be empty"),
        (" ", "String may not be empty"),
        ("a\nb", "String may not contain control sequences but had the following ASCII chars: 10"),
        ("..", "No URL can name it"),
    ],
)
def test_a_name_by_which_no_connector_can_be_called_is_refused(pipe: Pipe, name: str, problem: str) -> None:
    before = pipe.world.call("GET", "/connectors").json()
    answer = pipe.world.call("POST", "/connectors", {"name": name, "config": pipe.config(name=None)})
    assert answer.status_code == 400
    assert f"Invalid value {name.strip()} for configuration name: {problem}" in error(answer)
    assert pipe.world.call("GET", "/connectors").json() == before


def test_broken_requests(world: World) -> None:
    url = f"{world.url}/connectors/broken/config"
    json_type = {"content-type": "application/json"}
    assert requests.put(url, data=b"{bad", headers=json_type, timeout=10).status_code == 500
    assert requests.put(url, data=b"[]", headers=json_type, timeout=10).status_code == 500
    assert error(requests.put(url, data=b"{}", timeout=10)) == "HTTP 415 Unsupported Media Type"
    assert "contains no connector type" in error(world.call("PUT", "/connectors/broken/config", {"topics": "a"}))
    assert "Failed to find any class" in error(
        world.call("PUT", "/connectors/broken/config", {"connector.class": "x.Nope"})
    )
    other = {"connector.class": "io.confluent.connect.s3.S3SinkConnector", "name": "other"}
    assert "doesn't match connector name in the URL" in error(world.call("PUT", "/connectors/broken/config", other))
    assert error(world.call("GET", "/nothing")) == "HTTP 404 Not Found"
    assert error(world.call("PUT", "/connectors")) == "HTTP 405 Method Not Allowed"


def test_a_configuration_can_be_validated_without_being_put(pipe: Pipe) -> None:
    path = "/connector-plugins/S3SinkConnector/config/validate"
    answer = pipe.world.call("PUT", path, pipe.config(flush__size="x"))
    assert (answer.status_code, answer.json()["error_count"]) == (200, 1)
    assert pipe.world.call("PUT", path, pipe.config()).json()["error_count"] == 0
    assert pipe.world.call("GET", "/connector-plugins").json()[0]["type"] == "sink"
