"""`make test-real`, against a server of the test's own that answers otherwise, and where there is no engine."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from rich.console import Console

from tests.real import __main__ as real
from tests.real.comparison import Difference, compare, table
from tests.recorded.cases import Attempt, Case, Target


class Other(BaseHTTPRequestHandler):
    """Answers 404 to everything but `/`, as JSON."""

    def do_GET(self) -> None:
        body = b"{}" if self.path == "/" else b'{"error_code": [404]}'
        self.send_response(200 if self.path == "/" else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Other)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def case(name: str, path: str, status: int) -> Case:
    return Case(name, "kafka-rest 7.9.9", [{"send": f"GET {path}", "answer": {"status": status}}])


def test_what_differs_is_a_row_with_what_was_recorded_and_what_came(url: str) -> None:
    cases = [case("the root", "/", 200), case("the topics", "/topics", 200)]
    (found,) = compare(cases, Attempt(Target(url, "none:1", real=True), {}).run)
    assert (found.case, found.source) == ("the topics", "kafka-rest 7.9.9")
    assert (found.recorded, found.got) == ("200", 'step 0, GET /topics: status 404: {"error_code": [404]}')
    shown = io.StringIO()
    Console(file=shown, width=200).print(table([found]))
    assert "status 404" in shown.getvalue() and '{"error_code": [404]}' in shown.getvalue()


def test_a_case_that_fails_differs_and_the_others_are_tried(url: str) -> None:
    def attempt(tried: Case) -> list[str]:
        if tried.name == "first":
            raise TimeoutError("no answer")
        return Attempt(Target(url, "none:1", real=True), {}).run(tried)

    found = compare([case("first", "/", 200), case("second", "/", 200), case("third", "/x", 200)], attempt)
    assert [(each.case, each.got.partition(":")[0]) for each in found] == [
        ("first", "TimeoutError"),
        ("third", "step 0, GET /x"),
    ]


def test_without_an_engine_it_says_that_nothing_was_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("RUNTIME", "")
    assert real.main() == 2
    assert capsys.readouterr().out == "not run: no Docker engine answers (`docker info`)\n"


@pytest.mark.parametrize(
    ("compose_file", "differences", "status", "words"),
    [
        ("", [], 0, "cases on the real parts: 0 not as recorded"),
        ("", [Difference("a case", "a source", "200", "404")], 1, "cases on the real parts: 1 not as recorded"),
        ("docker-compose.packages.yml", [], 0, "cases on the stand-ins: 0 not as recorded"),
    ],
)
def test_the_exit_status_and_the_last_line_say_how_it_went(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    compose_file: str,
    differences: list[Difference],
    status: int,
    words: str,
) -> None:
    monkeypatch.setenv("RUNTIME", "compose")
    monkeypatch.setenv("COMPOSE_FILE", compose_file)
    monkeypatch.setattr(real, "check_engine", lambda: None)
    monkeypatch.setattr(real, "on_own_stack", lambda _: differences)
    assert real.main() == status
    out = capsys.readouterr().out
    assert words in out and ("a case" in out) is bool(differences)
