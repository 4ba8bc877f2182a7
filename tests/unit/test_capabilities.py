"""docs/capabilities.md: which test shows what, and what happens where none does."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs.capabilities import __main__ as writer
from docs.capabilities import evidence, inventory
from docs.capabilities.inventory import Capability, Section
from foundation.profile import ROOT


@pytest.mark.parametrize(
    ("route", "path", "same"),
    [
        ("/topics/{topic}", "/topics/{}", True),
        ("/topics/{topic}", "/topics/a?x=1", True),
        ("/topics/{topic}", "/topics/a/partitions", False),
        ("/topics/{topic}/partitions", "/topics/a/{}", False),
        ("/api/{version}/jobs/runs/get", "/api/2.1/jobs/runs/get", True),
        ("/api/{version}/jobs/runs/get", "{service.url}/api/2.1/jobs/runs/get", True),
        ("/consumers/{group}/instances/{instance}/records", "{instance.path}/records", True),
        ("/connectors/{name}/tasks/{task:int}/restart", "{pipe.path}/tasks/0/restart", True),
        ("/consumers/{group}", "{instance.path}", False),
        ("/topics/{topic}", "{anything}/records", False),
    ],
)
def test_a_request_is_for_a_route(route: str, path: str, same: bool) -> None:
    assert inventory.matches(("GET", route), ("GET", path)) is same
    assert not inventory.matches(("PUT", route), ("GET", path))


def written(folder: Path, text: str, name: str = "test_x.py") -> list[evidence.Test]:
    (folder / name).write_text(text)
    return evidence.tests_in(str(folder))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(evidence, "ROOT", tmp_path)
    return tmp_path


def test_the_requests_of_a_test_are_read_from_its_code(folder: Path) -> None:
    text = (
        'URL = "/b"\n\ndef test_x(client, x):\n    client.call("POST", "/a")\n    client.get(URL)\n    client.get(x)\n'
    )
    (found,) = written(folder, text)
    assert (found.name, set(found.calls)) == ("test_x", {("POST", "/a"), ("GET", "/b")})


def test_a_recorded_case_shows_only_what_was_answered_well(folder: Path) -> None:
    rows = (
        "- {name: n, source: s, steps: [{send: GET /a, answer: {status: 200}}, {send: GET /b, answer: {status: 404}}]}"
    )
    (found,) = written(folder, rows, "http.yaml")
    assert found.calls == (("GET", "/a"),) and found.recorded


def test_what_is_refused_is_shown_by_a_test_of_the_refusal(folder: Path) -> None:
    text = 'def test_a():\n    x("a")\n\ndef test_b():\n    with pytest.raises(E):\n        x("a")\n'
    tests = written(folder, text)
    shown = [evidence.shown_by(Capability("a", state, signs=('"a"',)), tests, {}) for state in ("stand-in", "refused")]
    assert [test.name for test in shown if test] == ["test_a", "test_b"]


def test_what_no_test_shows_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    section = Section(
        "Some part", "some/part", (str(folder),), [Capability("GET /new", "stand-in", call=("GET", "/new"))]
    )
    monkeypatch.setattr(inventory, "sections", lambda: [section])
    text, without = writer.page()
    assert "| `GET /new` | stand-in | **no test** |" in text
    assert without == ["Some part: GET /new"]


NOW = """# Page

## Some part

| | state | test |
|---|---|---|
| `a` | stand-in | [test_it](../test_x.py) |
"""


@pytest.mark.parametrize(
    ("now", "chosen"),
    [
        (NOW, "test_it"),
        (NOW.replace("test_it", "test_gone"), "test_a"),
        (NOW.replace("stand-in", "refused"), "test_a"),
        (NOW.replace("Some part", "Another part"), "test_a"),
        ("", "test_a"),
    ],
    ids=["still shows it", "is gone", "other state", "other table", "no page yet"],
)
def test_a_test_that_shows_a_line_stays_although_a_better_one_was_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch, now: str, chosen: str
) -> None:
    """Else an edit of a test that has nothing to do with the page would make it old."""
    written(folder, 'def test_it():\n    x("a")\n\ndef test_a():\n    x("a")\n')
    section = Section("Some part", "some/part", (str(folder),), [Capability("a", "stand-in", signs=('"a"',))])
    monkeypatch.setattr(inventory, "sections", lambda: [section])
    text, _ = writer.page(now)
    assert f"| `a` | stand-in | [{chosen}](../test_x.py) |" in text


def test_an_option_with_one_value_says_which() -> None:
    assert {each.name: each.note for each in inventory.kinesis_options()}["consumerMode"] == "only `polling`"


@pytest.mark.parametrize("service", sorted(file.parent.name for file in (ROOT / "services").glob("*/native.py")))
def test_the_readme_of_every_service_points_to_the_page(service: str) -> None:
    assert "../../docs/capabilities.md" in (ROOT / "services" / service / "README.md").read_text(encoding="utf-8")
