"""events.jsonl while it grows, and after its writer was killed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from services.databricks.workspace import events


def write(directory: Path, *lines: dict[str, Any] | str) -> None:
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    (directory / events.FILE).write_text("\n".join(texts))


def test_a_run_without_events_has_no_cells_and_no_result(tmp_path: Path) -> None:
    assert events.cells(tmp_path, 100) == []
    assert events.result(tmp_path) is None


def test_a_broken_last_line_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, {"type": "stdout", "cell": 1, "text": "whole"}, '{"type": "stdout", "cell": 1, "text": "bro')
    (cell,) = events.cells(tmp_path, 100)
    assert [output["text"] for output in cell.outputs] == ["whole"]
    assert events.result(tmp_path) is None


def test_the_result_is_the_last_event(tmp_path: Path) -> None:
    write(tmp_path, {"type": "result", "result_state": "FAILED"}, {"type": "result", "result_state": "SUCCESS"}, "")
    found = events.result(tmp_path)
    assert found and found["result_state"] == "SUCCESS"


def test_a_result_that_something_follows_is_none(tmp_path: Path) -> None:
    write(tmp_path, {"type": "result", "result_state": "SUCCESS"}, {"type": "stdout", "cell": 1, "text": "x"})
    assert events.result(tmp_path) is None


def test_cells_know_their_times_and_outputs(tmp_path: Path) -> None:
    write(
        tmp_path,
        {"type": "notebook", "cells": [{"n": 1, "language": "sql", "title": "T", "source": "select 1"}, {"n": 2}]},
        {"type": "cell_start", "cell": 1, "t": 10.0},
        {"type": "display", "cell": 1, "mime": "text/html", "html": "<b>"},
        {"type": "cell_end", "cell": 1, "t": 12.5},
        {"type": "cell_start", "cell": 2, "t": 13.0},
        {"type": "error", "cell": 2, "summary": "no"},
        {"type": "something new", "cell": 2},
    )
    one, two = events.cells(tmp_path, 100)
    assert (one.language, one.title, one.source, one.started, one.ended) == ("sql", "T", "select 1", 10.0, 12.5)
    assert not one.failed and two.failed and two.ended is None


def test_printed_text_is_bounded_and_says_so(tmp_path: Path) -> None:
    write(tmp_path, *({"type": "stdout", "cell": 1, "text": "x" * 60} for _ in range(4)))
    (cell,) = events.cells(tmp_path, 100)
    assert sum(len(output["text"]) for output in cell.outputs) == 100
    assert [output["cut"] for output in cell.outputs] == [False, True]
    assert len("".join(events.printed(tmp_path, 1))) == 240


def test_text_cut_exactly_at_the_bound_says_so_too(tmp_path: Path) -> None:
    write(tmp_path, *({"type": "stdout", "cell": 1, "text": "x" * 50} for _ in range(3)))
    (cell,) = events.cells(tmp_path, 100)
    assert cell.outputs[-1]["cut"]


def test_sessions_are_open_until_their_process_has_told_a_result(tmp_path: Path) -> None:
    result = {"type": "result", "result_state": "SUCCESS"}
    for name in ("child-1/child-1", "child-2", "child-10", "libraries/child-1"):
        (tmp_path / name).mkdir(parents=True)
    write(
        tmp_path, {"type": "stdout", "cell": 1, "text": '"session"'}, {"type": "session", "session_id": "own"}, result
    )
    write(tmp_path / "child-1", {"type": "session", "session_id": "of 1"}, '{"type": "result", "bro')
    write(tmp_path / "child-1" / "child-1", {"type": "session", "session_id": "of 1.1"})
    write(tmp_path / "child-2", {"type": "session", "session_id": "of 2"}, result)
    write(tmp_path / "libraries" / "child-1", {"type": "session", "session_id": "of no notebook"})
    assert list(events.open_sessions(tmp_path)) == ["of 1", "of 1.1"]


def test_task_values_are_collected(tmp_path: Path) -> None:
    write(tmp_path, {"type": "task_value", "key": "a", "value": [1]}, {"type": "stdout", "text": '"task_value"'})
    assert events.task_values(tmp_path) == {"a": [1]}
