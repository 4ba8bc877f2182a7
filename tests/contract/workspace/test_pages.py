"""The pages of runs: what they show, who sees them, and that a notebook's output stays data."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from html import unescape
from typing import Any

import pytest
import requests
from databricks.sdk.service.jobs import Continuous, PauseStatus
from starlette.requests import Request

from foundation.profile import load
from services.databricks.workspace.auth import WELL_KNOWN_TOKEN, needs_no_token
from services.databricks.workspace.settings import Settings
from tests.contract.workspace.conftest import TOKEN, Client, Service, carried_out, ended, notebook, task, until

EVIL = '<script>alert(1)</script><img src=x onerror="alert(2)">'


def page(url: str, **options: Any) -> requests.Response:
    return requests.get(url, timeout=20, **options)


@pytest.fixture
def evil(client: Client) -> Iterator[Any]:
    """A run whose every text is an attack."""
    table = {"mime": "application/vnd.pinflow.table+json", "columns": [{"name": EVIL, "type": EVIL}], "rows": [[EVIL]]}
    html = {"mime": "text/html", "html": EVIL}
    markdown = {"mime": "text/markdown", "text": f"{EVIL} [x](javascript:alert(3))"}
    shown = "; ".join(f"show {json.dumps(each)}" for each in (table, html, markdown))
    path = notebook(client, "evil", f"print {EVIL}; {shown}; fail {EVIL}")
    yield carried_out(client, task("evil", path, parameters={EVIL: EVIL}), run_name=EVIL)


def test_a_runs_page_shows_its_cells_output_parameters_and_result(client: Client) -> None:
    path = notebook(client, "shown", "print some text; exit the value")
    run = carried_out(client, task("only", path, parameters={"day": "monday"}), run_name="My run")
    shown = page(run.run_page_url)
    assert shown.headers["content-type"].startswith("text/html")
    for expected in ("My run", "some text", "the value", "monday", path, "Success", "Only cell"):
        assert expected in shown.text


def test_a_tables_rows_and_types_are_shown(client: Client) -> None:
    table = {
        "mime": "application/vnd.pinflow.table+json",
        "columns": [{"name": "country", "type": "string"}, {"name": "n", "type": "bigint"}],
        "rows": [["Albania", 3], [None, [1, 2]]],
        "truncated": True,
    }
    run = carried_out(client, task("only", notebook(client, "table", f"show {json.dumps(table)}")))
    text = page(run.run_page_url).text
    for expected in ("country", "bigint", "<td>Albania</td><td>3</td>", "<td>null</td><td>[1, 2]</td>"):
        assert expected in text
    assert "The first 2 rows: the result is longer" in text


def test_an_error_is_shown_with_its_traceback(client: Client) -> None:
    run = carried_out(client, task("only", notebook(client, "failing", "fail ValueError: no such thing")))
    text = page(run.run_page_url).text
    assert "ValueError: no such thing" in text and "Traceback: ValueError: no such thing" in text


def test_a_run_of_several_tasks_links_to_each(client: Client) -> None:
    path = notebook(client, "good", "print from a task")
    run = carried_out(client, task("first", path), task("second", path, "first"))
    text = page(run.run_page_url).text
    links = [unescape(link) for link in re.findall(r'href="(/runs/[^"]*key=[^"]*)"', text)]
    assert len(links) == 2
    origin = run.run_page_url.partition("/runs/")[0]
    assert all("from a task" in page(origin + link).text for link in links)


def test_output_is_escaped_everywhere(evil: Any) -> None:
    text = page(evil.run_page_url).text
    assert "<script>alert" not in text and "<img src=x" not in text
    assert 'href="javascript:' not in text
    assert "&lt;script&gt;alert(1)" in text


def test_pages_allow_no_script_but_their_own(evil: Any) -> None:
    policy = page(evil.run_page_url).headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script-src 'self'" in policy and "unsafe" not in policy


def test_html_output_lives_in_a_sandboxed_frame_with_a_key_of_its_own(evil: Any) -> None:
    text = page(evil.run_page_url).text
    (frame,) = re.findall(r"<iframe [^>]*>", text)
    assert 'sandbox="allow-scripts"' in frame
    source = unescape(re.search(r'src="([^"]*)"', frame)[1])  # type: ignore[index]
    answer = page(evil.run_page_url.partition("/runs/")[0] + source)
    assert EVIL in answer.text, "shown as it is, in an origin of its own"
    assert answer.headers["content-security-policy"].startswith("sandbox allow-scripts; default-src 'none'")
    assert source.partition("key=")[2] != evil.run_page_url.partition("key=")[2]


def test_a_page_needs_its_own_key(client: Client, service: Service) -> None:
    path = notebook(client, "good", "print secret text")
    one, other = (carried_out(client, task("only", path)) for _ in range(2))
    url, _, key = one.run_page_url.partition("?key=")
    for wrong in (url, f"{url}?key=", f"{url}?key={'0' * 32}", f"{url}?key={other.run_page_url.partition('=')[2]}"):
        answer = page(wrong)
        assert answer.status_code == 403 and "secret text" not in answer.text
    assert page(f"{url}?key={key}").status_code == 200
    for file in ("cells/1/output.txt", "files/cell1-1.png", "cells/1/html/1"):
        assert page(f"{url}/{file}?key={key}").status_code == 403


def test_a_number_of_any_length_is_a_page_that_is_unknown(client: Client) -> None:
    runs = carried_out(client, task("only", notebook(client, "good", "1"))).run_page_url.rpartition("/")[0]
    assert page(f"{runs}/{'1' * 5000}").status_code == page(f"{runs}/none").status_code


def test_pages_answer_to_no_name_that_a_web_site_can_have(client: Client) -> None:
    run = carried_out(client, task("only", notebook(client, "good", "print secret text")))
    for host, status in (("evil.example:80", 403), ("127.0.0.1", 200), ("localhost:1234", 200), ("databricks", 200)):
        assert page(run.run_page_url, headers={"Host": host}).status_code == status


def test_the_list_of_runs_opens_with_the_token(client: Client, service: Service) -> None:
    run = carried_out(client, task("only", notebook(client, "good", "exit 1")), run_name="findable run")
    entrance = page(f"{service.url}/", allow_redirects=True)
    assert "Token" in entrance.text and "findable run" not in entrance.text
    wrong = requests.post(f"{service.url}/runs", data={"token": "wrong"}, timeout=5)
    assert wrong.status_code == 403 and "findable run" not in wrong.text
    listed = requests.post(f"{service.url}/runs", data={"token": TOKEN}, timeout=5)
    assert "findable run" in listed.text and TOKEN not in listed.url
    assert f"/runs/{run.run_id}?key=" in listed.text


@pytest.fixture(scope="module")
def default(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A workspace with the token of profiles/local.yaml, and a run in it."""
    made = Service(tmp_path_factory.mktemp("default") / "home", own_token="local")
    made.start()
    carried_out(made.client, task("only", notebook(made.client, "good", "exit 1")), run_name="findable run")
    yield made
    made.stop()


LISTS = ["/", "/runs", "/jobs"]
OF_BROWSER = [{}, {"Sec-Fetch-Site": "none"}, {"Sec-Fetch-Site": "same-origin"}]
OF_OTHERS = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Host": "192.168.1.5:8180"},
    {"Host": "databricks:8180"},
    {"X-Forwarded-For": "127.0.0.1"},
    {"Forwarded": "for=127.0.0.1"},
]


def test_the_well_known_token_is_the_one_of_the_local_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PINFLOW_DATABRICKS_TOKEN", raising=False)
    assert load("local").databricks.token.get_secret_value() == WELL_KNOWN_TOKEN


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("headers", OF_BROWSER, ids=str)
def test_on_this_machine_the_lists_open_without_a_token(default: Service, path: str, headers: dict[str, str]) -> None:
    answer = page(f"{default.url}{path}", headers=headers)
    assert answer.status_code == 200 and 'type="password"' not in answer.text
    assert ("findable run" in answer.text) == (path != "/jobs")
    links = [unescape(link) for link in re.findall(r'href="(/(?:runs|jobs)[^"]*key=[^"]*)"', answer.text)]
    assert links and all(page(default.url + link).status_code == 200 for link in links)


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("headers", OF_OTHERS, ids=str)
def test_what_does_not_come_from_this_machine_alone_is_asked_for_the_token(
    default: Service, path: str, headers: dict[str, str]
) -> None:
    answer = page(f"{default.url}{path}", headers=headers)
    assert 'type="password"' in answer.text and "findable run" not in answer.text
    assert "databricks.token" in answer.text and "make where" in answer.text, "where the token is"


@pytest.mark.parametrize("path", LISTS)
def test_a_page_that_opened_by_itself_gives_a_web_site_nothing(default: Service, path: str) -> None:
    rebound = page(f"{default.url}{path}", headers={"Host": "evil.example", "Sec-Fetch-Site": "same-origin"})
    assert rebound.status_code == 403 and "findable run" not in rebound.text
    answer = page(f"{default.url}{path}", headers={"Origin": "https://evil.example"})
    assert not [name for name in answer.headers if name.lower().startswith("access-control-")]
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert answer.headers["cross-origin-resource-policy"] == "same-site"


def test_the_api_and_the_runs_keep_their_token_and_key(default: Service) -> None:
    assert default.call("GET", "/api/2.1/jobs/runs/list", token=None).status_code == 401
    run = default.client.jobs.list_runs()
    url = default.client.jobs.get_run(next(iter(run)).run_id).run_page_url.partition("?")[0]
    assert page(url).status_code == 403


def test_a_token_of_ones_own_is_asked_for_on_this_machine_too(service: Service) -> None:
    """Other users of the machine reach 127.0.0.1 as well."""
    answer = page(f"{service.url}/jobs", headers={"Sec-Fetch-Site": "none"})
    assert 'type="password"' in answer.text and "databricks.token" in answer.text


@pytest.mark.parametrize("client", [("127.0.0.1", 1), ("::1", 1), ("::ffff:127.0.0.1", 1)])
@pytest.mark.parametrize("host", ["127.0.0.1:8180", "localhost:8180", "[::1]:8180"])
def test_every_form_of_this_machines_address_is_known(client: tuple[str, int], host: str) -> None:
    assert needs_no_token(asking(client, host), settings("local"))
    assert not needs_no_token(asking(client, host), settings("another"))


@pytest.mark.parametrize("client", [("172.18.0.1", 1), ("192.168.1.7", 1), ("2001:db8::1", 1), None])
def test_a_containers_bridge_and_other_machines_are_not(client: tuple[str, int] | None) -> None:
    assert not needs_no_token(asking(client, "127.0.0.1:8180"), settings("local"))


def asking(client: tuple[str, int] | None, host: str) -> Request:
    headers = [(b"host", host.encode())]
    return Request({"type": "http", "client": client, "headers": headers, "path": "/runs", "method": "GET"})


def settings(token: str) -> Settings:
    """Those of a workspace with that token."""
    names = ("home", "url", "remote", "control_url", "control_token", "cluster_id")
    return Settings.model_validate({**dict.fromkeys(names, "x"), "token": token, "notebook_command": ("x",)})


def test_all_jobs_are_listed_with_their_latest_run(client: Client, service: Service) -> None:
    path = notebook(client, "failing", "fail no good")
    by_hand = client.jobs.create(name=EVIL, tasks=[task("only", path)]).job_id
    paused = Continuous(pause_status=PauseStatus.PAUSED)
    client.jobs.create(name="never run", tasks=[task("only", path)], continuous=paused)
    runs = [ended(client, client.jobs.run_now(by_hand).run_id).run_id for _ in range(2)]
    entered = requests.post(f"{service.url}/jobs", data={"token": TOKEN}, timeout=5)
    rows = re.findall(r"<tr>.*?</tr>", entered.text, re.DOTALL)[1:]
    (shown,) = [row for row in rows if f">{by_hand}</a>" in row]
    assert f"/runs/{runs[1]}?key=" in shown and f"/runs/{runs[0]}?" not in shown
    assert "Failed" in shown and "by hand" in shown and f"/jobs/{by_hand}?key=" in shown
    (other,) = [row for row in rows if "never run" in row]
    assert "none yet" in other and "continuous, paused" in other
    assert "<script>alert" not in entered.text and "&lt;script&gt;alert(1)" in shown
    link = unescape(re.search(r'href="(/jobs/[^"]*)"', shown)[1])  # type: ignore[index]
    assert f"/runs/{runs[0]}?key=" in page(service.url + link).text


def test_a_page_refreshes_while_its_run_goes_on(client: Client) -> None:
    run_id = client.jobs.submit(tasks=[task("only", notebook(client, "going", "print begun; sleep 300"))]).run_id
    run = until(client, run_id, lambda run: run.state.life_cycle_state.value == "RUNNING")
    until(client, run_id, lambda _: "begun" in page(run.run_page_url).text)
    assert "<main data-live>" in page(run.run_page_url).text
    client.jobs.cancel_run_and_wait(run_id)
    assert "<main>" in page(run.run_page_url).text
    assert "live.js" in page(run.run_page_url).text


def test_figures_are_served_to_their_page_only(client: Client, service: Service) -> None:
    figure = {"mime": "image/png", "file": "cell1-1.png"}
    run = carried_out(client, task("only", notebook(client, "figure", f"show {json.dumps(figure)}")))
    png = base64.b64decode("iVBORw0KGgo=")
    (service.home / "runs" / str(run.tasks[0].run_id) / "cell1-1.png").write_bytes(png)
    link = unescape(re.search(r'<img class="figure" src="([^"]*)"', page(run.run_page_url).text)[1])  # type: ignore[index]
    answer = page(service.url + link)
    assert (answer.content, answer.headers["content-type"]) == (png, "image/png")
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_whole_output_of_a_cell_is_a_link_away(client: Client, service: Service) -> None:
    run = carried_out(client, task("only", notebook(client, "long", "huge 1000000")))
    link = unescape(re.search(r'href="([^"]*output.txt[^"]*)"', page(run.run_page_url).text)[1])  # type: ignore[index]
    assert len(page(service.url + link).content) == 1_000_000
