"""The wire: authentication, both ways to give parameters, error codes, and the calls that Airflow makes."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from docs.capabilities import inventory
from tests.contract.workspace.conftest import CLUSTER, HOME, TOKEN, Client, Service, notebook

GET_RUN = "/api/2.1/jobs/runs/get"


def error(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error_code"]


def submitted(service: Service, path: str, **more: Any) -> int:
    body = {"notebook_task": {"notebook_path": path}, "existing_cluster_id": CLUSTER, **more}
    answer = service.call("POST", "/api/2.1/jobs/runs/submit", json=body)
    assert answer.status_code == 200, answer.text
    return int(answer.json()["run_id"])


def ended(service: Service, run_id: int) -> dict[str, Any]:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        run: dict[str, Any] = service.call("GET", GET_RUN, params={"run_id": run_id}).json()
        if run["state"]["life_cycle_state"] in ("TERMINATED", "SKIPPED", "INTERNAL_ERROR"):
            return run
        time.sleep(0.02)
    raise AssertionError(run)


def test_no_credentials_is_401_and_a_wrong_token_403(service: Service) -> None:
    nothing = service.call("GET", "/api/2.0/clusters/list", token=None)
    assert error(nothing) == (401, "401") and "Credential was not sent" in nothing.json()["message"]
    wrong = service.call("GET", "/api/2.0/clusters/list", token="wrong")
    assert error(wrong) == (403, "403") and wrong.json()["message"] == "Invalid access token."


def test_the_token_may_be_the_password_of_the_user_token(service: Service) -> None:
    url = f"{service.url}/api/2.0/clusters/list"
    assert requests.get(url, auth=("token", TOKEN), timeout=5).status_code == 200
    assert requests.get(url, auth=("admin", TOKEN), timeout=5).status_code == 403


@pytest.mark.parametrize(
    "path", ["/api/2.0/clusters/list", "/.well-known/databricks-config", "/runs", "/static/live.js"]
)
@pytest.mark.parametrize("host", ["evil.example", "evil.example:8180", "127.0.0.1.evil.example", "localhost.", "[", ""])
def test_no_path_answers_to_a_name_that_a_web_site_can_have(service: Service, path: str, host: str) -> None:
    answer = service.call("GET", path, headers={"Host": host})
    assert error(answer) == (403, "PERMISSION_DENIED")
    assert service.url in answer.json()["message"], "what to use instead"


def test_a_web_site_with_the_token_imports_no_notebook(service: Service) -> None:
    body = {"path": f"{HOME}/foreign", "content": "", "language": "PYTHON"}
    refused = service.call("POST", "/api/2.0/workspace/import", json=body, headers={"Host": "evil.example"})
    assert error(refused) == (403, "PERMISSION_DENIED")
    assert service.call("GET", f"/api/2.0/workspace/get-status?path={HOME}/foreign").status_code == 404


@pytest.mark.parametrize("host", ["localhost:1234", "databricks:8180", "LOCALHOST", "172.18.0.5:8180", "[::1]:8180"])
def test_addresses_and_names_without_a_dot_are_answered(service: Service, host: str) -> None:
    assert service.call("GET", "/api/2.0/clusters/list", headers={"Host": host}).status_code == 200


def test_the_host_name_of_its_own_address_is_answered(tmp_path: Path) -> None:
    named = Service(tmp_path / "home")
    named.arguments[named.arguments.index("--url") + 1] = named.url.replace("127.0.0.1", "pinflow.lan.example")
    named.start()
    try:
        for host, status in (("pinflow.lan.example", 200), ("evil.example", 403)):
            assert named.call("GET", "/api/2.0/clusters/list", headers={"Host": host}).status_code == status
    finally:
        named.stop()


@pytest.mark.parametrize(
    "method, path",
    [
        ("GET", "/api/2.0/sql/warehouses"),
        ("POST", "/api/2.2/jobs/runs/repair"),
        ("PUT", "/api/2.0/clusters/get"),
        ("GET", "/api/9.9/jobs/list"),
        ("GET", "/nothing/here"),
    ],
)
def test_what_is_not_there_answers_501(service: Service, method: str, path: str) -> None:
    answer = service.call(method, path)
    assert error(answer) == (501, "NOT_IMPLEMENTED")
    assert path in answer.json()["message"]


@pytest.mark.parametrize(("method", "path"), inventory.refused_by_workspace())
def test_a_call_of_databricks_that_is_not_here_answers_501(service: Service, method: str, path: str) -> None:
    answer = service.call(method, path, json=None if method == "GET" else {})
    assert error(answer) == (501, "NOT_IMPLEMENTED")


@pytest.mark.parametrize("kind", inventory.refused_tasks())
def test_another_kind_of_task_is_refused_by_its_name(service: Service, kind: str) -> None:
    answer = service.call("POST", "/api/2.2/jobs/create", json={"tasks": [{"task_key": "a", kind: {}}]})
    assert error(answer) == (501, "NOT_IMPLEMENTED") and kind in answer.json()["message"]


def test_settings_that_mean_nothing_here_are_kept_and_the_job_runs(service: Service, client: Client) -> None:
    path = notebook(client, "good", "exit 1")
    settings: dict[str, Any] = {
        "name": "All settings",
        "description": "what it is for",
        "tags": {"team": "data"},
        "parameters": [{"name": "p", "default": "1"}],
        "job_clusters": [{"job_cluster_key": "small", "new_cluster": {"num_workers": 1}}],
        "environments": [{"environment_key": "e", "spec": {"client": "1"}}],
        "schedule": {"quartz_cron_expression": "0 0 5 * * ?", "timezone_id": "UTC", "pause_status": "PAUSED"},
        "trigger": {"periodic": {"interval": 1, "unit": "HOURS"}, "pause_status": "PAUSED"},
        "email_notifications": {"on_failure": ["a@example.com"]},
        "webhook_notifications": {"on_failure": [{"id": "w"}]},
        "notification_settings": {"no_alert_for_skipped_runs": True},
        "health": {"rules": [{"metric": "RUN_DURATION_SECONDS", "op": "GREATER_THAN", "value": 10}]},
    }
    work = {"notebook_task": {"notebook_path": path}, "libraries": [{"pypi": {"package": "x"}}]}
    first = {"task_key": "a", "job_cluster_key": "small", **work}
    second = {"task_key": "b", "new_cluster": {"num_workers": 1}, "depends_on": [{"task_key": "a"}], **work}
    created = service.call("POST", "/api/2.2/jobs/create", json={**settings, "tasks": [first, second]}).json()
    kept = service.call("GET", f"/api/2.2/jobs/get?job_id={created['job_id']}").json()["settings"]
    assert {name: kept.get(name) for name in settings} == settings
    assert [task["libraries"] for task in kept["tasks"]] == [work["libraries"]] * 2
    run = service.call("POST", "/api/2.2/jobs/run-now", json={"job_id": created["job_id"]}).json()
    assert ended(service, run["run_id"])["state"]["result_state"] == "SUCCESS"


def test_what_is_not_there_needs_the_token_too(service: Service) -> None:
    assert service.call("GET", "/api/2.0/nothing", token=None).status_code == 401


@pytest.mark.parametrize("given", [{"params": {"run_id": "{id}"}}, {"json": {"run_id": "{id}"}}, {"json": None}])
def test_get_takes_its_parameters_from_the_query_or_a_json_body(
    service: Service, client: Client, given: dict[str, Any]
) -> None:
    run_id = submitted(service, notebook(client, "good", "exit 1"))
    if given == {"json": None}:
        given = {"json": {"run_id": run_id}}
    else:
        given = {name: {"run_id": str(run_id)} for name in given}
    assert service.call("GET", GET_RUN, **given).json()["run_id"] == run_id


@pytest.mark.parametrize(
    "body, expected",
    [
        ("{not json", "MALFORMED_REQUEST"),
        ("[1]", "MALFORMED_REQUEST"),
        ('{"run_id": "abc"}', "MALFORMED_REQUEST"),
        ('{"run_id": null}', "INVALID_PARAMETER_VALUE"),
        ("", "INVALID_PARAMETER_VALUE"),
        ('{"run_id": 987654321}', "INVALID_PARAMETER_VALUE"),
        ("[" * 5000, "MALFORMED_REQUEST"),
        ('{"run_id": 1, "deep": ' + "[" * 300 + "]" * 300 + "}", "MALFORMED_REQUEST"),
        ('{"run_id": 99999999999999999999}', "INVALID_PARAMETER_VALUE"),
    ],
)
def test_bad_requests_get_databricks_error_codes(service: Service, body: str, expected: str) -> None:
    answer = service.call("GET", GET_RUN, data=body, headers={"Content-Type": "application/json"})
    assert error(answer) == (400, expected)


@pytest.mark.parametrize(
    "path",
    [
        "jobs/runs/get?run_id=99999999999999999999",
        "jobs/runs/get-output?run_id=-99999999999999999999",
        "jobs/get?job_id=9223372036854775808",
        "jobs/runs/list?offset=99999999999999999999",
        "jobs/runs/list?start_time_from=99999999999999999999",
        "jobs/runs/list?page_token=YmVmb3JlIDk5OTk5OTk5OTk5OTk5OTk5OTk5",
    ],
)
def test_a_number_of_more_than_64_bits_is_a_400(service: Service, path: str) -> None:
    assert error(service.call("GET", f"/api/2.1/{path}")) == (400, "INVALID_PARAMETER_VALUE")


@pytest.mark.parametrize(
    "task", ['"text"', "[]", "{}", '{"notebook_path": 5}', '{"notebook_path": "/x", "base_parameters": 1}']
)
def test_a_task_of_the_wrong_shape_is_a_400(service: Service, task: str) -> None:
    body = f'{{"tasks": [{{"task_key": "a", "notebook_task": {task}}}]}}'
    assert service.call("POST", "/api/2.2/jobs/runs/submit", data=body).status_code == 400


@pytest.mark.parametrize("name, tag", [("half \\ud800", "whole"), ("whole", "half \\udfff")])
def test_half_a_character_is_a_400(service: Service, name: str, tag: str) -> None:
    work = '"notebook_task": {"notebook_path": "/x"}'
    answer = service.call(
        "POST", "/api/2.1/jobs/create", data=f'{{"name": "{name}", "tags": {{"{tag}": "x"}}, {work}}}'
    )
    assert error(answer) == (400, "INVALID_PARAMETER_VALUE")
    assert "half \\ud" in answer.json()["message"]


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999"])
def test_a_number_without_bounds_is_a_400(service: Service, number: str) -> None:
    body = f'{{"name": "x", "schedule": {{"x": [{number}]}}, "notebook_task": {{"notebook_path": "/x"}}}}'
    assert error(service.call("POST", "/api/2.1/jobs/create", data=body)) == (400, "INVALID_PARAMETER_VALUE")
    assert service.call("GET", "/api/2.1/jobs/list?expand_tasks=true").status_code == 200


def test_a_form_that_cannot_be_read_is_a_400(service: Service) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = service.call("POST", "/api/2.0/workspace/import", data="not a form", headers=headers)
    assert error(answer)[0] == 400


def test_unknown_fields_are_ignored(service: Service, client: Client) -> None:
    path = notebook(client, "good", "exit 1")
    assert ended(service, submitted(service, path, whatever={"is": "this"}))["state"]["result_state"] == "SUCCESS"


def test_list_limits_are_those_of_the_version(service: Service) -> None:
    assert error(service.call("GET", "/api/2.1/jobs/runs/list?limit=26")) == (400, "INVALID_PARAMETER_VALUE")
    assert service.call("GET", "/api/2.0/jobs/runs/list?limit=150").status_code == 200
    assert error(service.call("GET", "/api/2.1/jobs/runs/list?page_token=x")) == (400, "INVALID_PARAMETER_VALUE")


def test_offset_pages_as_in_version_2_0(service: Service, client: Client) -> None:
    path = notebook(client, "good", "exit 1")
    made = [submitted(service, path) for _ in range(3)]
    second = service.call("GET", "/api/2.0/jobs/runs/list?limit=1&offset=1").json()
    assert [run["run_id"] for run in second["runs"]] == [made[1]]
    assert second["has_more"]
    assert second["runs"][0]["tasks"]


@pytest.mark.parametrize("version", ["2.0", "2.1", "2.2"])
def test_a_flat_run_answers_for_its_one_task(service: Service, client: Client, version: str) -> None:
    path = notebook(client, "failing", "fail no good")
    body = {"run_name": "flat run", "notebook_task": {"notebook_path": path}, "new_cluster": {"num_workers": 2}}
    run_id = service.call("POST", f"/api/{version}/jobs/runs/submit", json=body).json()["run_id"]
    run = ended(service, run_id)
    assert run["state"]["state_message"] == "Workload failed, see run output for details"
    assert run["task"]["notebook_task"]["notebook_path"] == path
    output = service.call("GET", f"/api/{version}/jobs/runs/get-output?run_id={run_id}").json()
    assert output["error"] == "no good" and output["metadata"]["run_id"] == run_id


def test_airflows_operator_gets_what_it_asks_for(service: Service, client: Client) -> None:
    """The calls of DatabricksSubmitRunOperator 7.12.1; its `normalise_json_content` makes every number a string."""
    path = notebook(client, "failing for airflow", "fail no good")
    submission = {
        "notebook_task": {"notebook_path": path, "base_parameters": {"day": "2026-01-01", "n": "5"}},
        "existing_cluster_id": CLUSTER,
        "timeout_seconds": "600",
        "run_name": "clean_pin",
        "idempotency_token": None,
    }
    run_id = service.call("POST", "/api/2.2/jobs/runs/submit", json=submission).json()["run_id"]
    run = service.call("GET", "/api/2.2/jobs/runs/get", params={"run_id": run_id}).json()
    assert run["run_page_url"].startswith(f"{service.url}/runs/")
    assert isinstance(run["job_id"], int)
    states = set()
    while run["state"]["life_cycle_state"] not in ("TERMINATED", "SKIPPED", "INTERNAL_ERROR"):
        states.add(run["state"]["life_cycle_state"])
        run = service.call("GET", "/api/2.2/jobs/runs/get", json={"run_id": str(run_id)}).json()
    assert states <= {"PENDING", "RUNNING", "TERMINATING", "QUEUED"}, "the operator knows no other for a run"
    assert run["state"]["result_state"] == "FAILED"
    failed = [task for task in run["tasks"] if task["state"]["result_state"] == "FAILED"]
    output = service.call("GET", "/api/2.2/jobs/runs/get-output", params={"run_id": failed[0]["run_id"]}).json()
    assert output["error"] == "no good"
    assert failed[0]["task_key"] == "clean_pin"
    assert service.call("POST", "/api/2.2/jobs/runs/cancel", json={"run_id": run_id}).json() == {}


def test_another_clusters_id_runs_on_this_one(service: Service, client: Client) -> None:
    run_id = submitted(service, notebook(client, "good", "exit 1"), existing_cluster_id="1108-162752-8okw8dgg")
    run = ended(service, run_id)
    assert run["state"]["result_state"] == "SUCCESS"
    assert run["cluster_instance"]["cluster_id"] == CLUSTER
    assert run["cluster_spec"] == {"existing_cluster_id": "1108-162752-8okw8dgg"}


def test_a_workspace_can_be_strict_about_clusters(own_service: Service) -> None:
    own_service.arguments.insert(0, "--only-own-cluster")
    own_service.start()
    run = ended(own_service, submitted(own_service, f"{HOME}/x", existing_cluster_id="1108-162752-8okw8dgg"))
    assert run["state"]["state_message"] == (
        "Run executed on existing cluster ID 1108-162752-8okw8dgg failed since the cluster does not exist."
    )


def test_the_cluster_and_the_user_are_described(client: Client, service: Service) -> None:
    cluster = client.clusters.get(CLUSTER)
    assert cluster.state.value == "PENDING", "nothing listens at the Spark address of this test"
    assert [each.cluster_id for each in client.clusters.list()] == [CLUSTER]
    assert client.current_user.me().user_name == "local@pinflow"
    assert client.get_workspace_id() == 1
    assert error(service.call("GET", "/api/2.0/clusters/get?cluster_id=x")) == (400, "INVALID_PARAMETER_VALUE")


def test_what_a_cluster_could_be_is_described(client: Client) -> None:
    client.clusters.start(CLUSTER)
    assert "4.2" in client.clusters.spark_versions().versions[0].name
    assert [node.node_type_id for node in client.clusters.list_node_types().node_types] == ["local"]
    assert list(client.cluster_policies.list()) == []


def test_secrets_are_listed_without_their_values(client: Client, service: Service) -> None:
    assert [scope.name for scope in client.secrets.list_scopes()] == ["keys"]
    assert [secret.key for secret in client.secrets.list_secrets("keys")] == ["aws"]
    answers = [service.call("GET", f"/api/2.0/secrets/{path}").text for path in ("scopes/list", "list?scope=keys")]
    assert "hush-hush" not in "".join(answers)


def test_no_secret_is_in_the_process_list_or_the_log(service: Service, client: Client) -> None:
    submitted(service, notebook(client, "good", "exit 1"))
    process = psutil.Process(service.pid)
    said = (service.home.parent / "service.log").read_text() + " ".join(process.cmdline())
    for child in process.children():
        with suppress(psutil.NoSuchProcess):  # a run may have ended since
            said += " ".join(child.cmdline())
    assert not [secret for secret in (TOKEN, "control-token", "hush-hush", "key=") if secret in said]


def test_it_listens_on_loopback_only(service: Service) -> None:
    listening = [c for c in psutil.Process(service.pid).net_connections() if c.status == "LISTEN"]
    assert {connection.laddr.ip for connection in listening} == {"127.0.0.1"}
