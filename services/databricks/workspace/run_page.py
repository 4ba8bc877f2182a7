"""A run as a page: its tasks, or its notebook's cells with what they printed and showed.

A notebook's output is data from anywhere: everything is escaped, HTML shows up in a frame without any rights.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from markdown_it import MarkdownIt
from markupsafe import Markup

from services.databricks.workspace import events, page_keys
from services.databricks.workspace.parts import Parts
from services.databricks.workspace.store import Job, Listing, Run, now

HERE = Path(__file__).parent
TABLE = "application/vnd.pinflow.table+json"
# What one page shows of a cell; the rest is a link away. A browser takes long over more.
TEXT_LIMIT = 200_000
ROWS = 1000

_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\-_]")
_markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
_pages = Environment(loader=FileSystemLoader(HERE / "templates"), autoescape=True, trim_blocks=True, lstrip_blocks=True)


@dataclass(frozen=True)
class Block:
    """Something that a cell shows: ``kind`` is text, error, table, html, markdown, image or note."""

    kind: str
    text: str = ""
    summary: str = ""
    columns: list[Mapping[str, Any]] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    link: str = ""


@dataclass(frozen=True)
class ShownCell:
    """A cell as the page shows it; ``state`` is waiting, running, done, failed or skipped."""

    n: int
    language: str
    title: str
    source: str
    state: str
    seconds: str
    blocks: list[Block]


def run_page(workspace: Parts, run: Run) -> str:
    """The page of a run or task run."""
    tasks = [] if run.parent_id else workspace.store.tasks(run.run_id)
    notebook = run if run.parent_id else tasks[0] if len(tasks) == 1 else None
    attempts = workspace.store.attempts(run.parent_id or run.run_id) if notebook else []
    return _render(
        "run.html",
        run=run,
        attempts=[each for each in attempts if notebook and each.task_key == notebook.task_key],
        job=_link(workspace, page_keys.job_page(run.job_id)) if run.kind == "JOB_RUN" else "",
        tasks=tasks if len(tasks) > 1 else [],
        task=notebook,
        cells=_cells(workspace, notebook) if notebook else [],
        output=workspace.store.output(notebook.run_id) if notebook else {},
        parent=page_keys.run_page_path(workspace.settings, run.parent_id) if run.parent_id else "",
        link=lambda task: page_keys.run_page_path(workspace.settings, task.run_id),
        user=workspace.settings.user,
        cluster=workspace.settings.cluster_id,
        live=run.active,
    )


def exported_page(workspace: Parts, task: Run) -> str:
    """A task run's page as one file that needs nothing else, for `runs/export`."""
    style = (HERE / "static" / "style.css").read_text(encoding="utf-8")
    return _render(
        "run.html",
        run=task,
        attempts=[],
        job="",
        tasks=[],
        task=task,
        cells=_cells(workspace, task),
        output=workspace.store.output(task.run_id),
        parent="",
        link=None,
        user=workspace.settings.user,
        cluster=workspace.settings.cluster_id,
        live=False,
        style=Markup(style),
    )


def runs_page(workspace: Parts, title: str, runs: list[Run]) -> str:
    """A page with the latest runs, of a job or of all."""
    return _render(
        "runs.html",
        title=title,
        runs=runs,
        jobs=_link(workspace, page_keys.JOBS),
        link=lambda run: page_keys.run_page_path(workspace.settings, run.run_id),
        live=True,
    )


def jobs_page(workspace: Parts, jobs: list[Job]) -> str:
    """A page with all jobs, and the latest run of each."""
    latest = {job.job_id: workspace.store.runs(Listing(limit=1, job_id=job.job_id)) for job in jobs}
    return _render(
        "jobs.html",
        jobs=[(job, next(iter(latest[job.job_id]), None)) for job in jobs],
        runs=_link(workspace, page_keys.RUNS),
        job_link=lambda job: _link(workspace, page_keys.job_page(job.job_id)),
        link=lambda run: page_keys.run_page_path(workspace.settings, run.run_id),
        live=True,
    )


def entrance_page(wrong: bool) -> str:
    """The page that asks for the token, and says where it is."""
    return _render("entrance.html", wrong=wrong, live=False)


def html_output(workspace: Parts, run_id: int, cell: int, number: int) -> str | None:
    """The ``number``-th HTML output of a cell, as the notebook gave it."""
    found = 0
    for event in events.read(_directory(workspace, run_id)):
        if event.get("cell") == cell and event["type"] == "display" and event.get("mime") == "text/html":
            found += 1
            if found == number:
                return _content(event)
    return None


def _render(template: str, **values: Any) -> str:
    return _pages.get_template(template).render(now=now(), **values)


def _directory(workspace: Parts, run_id: int) -> Path:
    return workspace.settings.home / "runs" / str(run_id)


def _cells(workspace: Parts, task: Run) -> list[ShownCell]:
    return [
        ShownCell(
            n=cell.n,
            language=cell.language,
            title=cell.title,
            source=cell.source,
            state=_state(cell, task),
            seconds=_seconds(cell),
            blocks=_blocks(workspace, task.run_id, cell),
        )
        for cell in events.cells(_directory(workspace, task.run_id), TEXT_LIMIT)
    ]


def _state(cell: events.Cell, task: Run) -> str:
    if cell.failed:
        return "failed"
    if cell.ended:
        return "done"
    if task.active:
        return "running" if cell.started else "waiting"
    return "stopped" if cell.started else "skipped"


def _seconds(cell: events.Cell) -> str:
    if not cell.started:
        return ""
    return duration(int(((cell.ended or now() / 1000) - cell.started) * 1000)) if cell.ended else ""


def _blocks(workspace: Parts, run_id: int, cell: events.Cell) -> list[Block]:
    blocks = [Block("markdown", _markdown_html(cell.source))] if cell.language == "md" else []
    frames = 0
    for output in cell.outputs:
        if output["type"] in ("stdout", "stderr"):
            text = plain(output["text"])
            if blocks and blocks[-1].kind == "text":
                text = blocks.pop().text + text
            blocks.append(Block("text", text))
            if output.get("cut"):
                link = _link(workspace, f"runs/{run_id}/cells/{cell.n}/output.txt")
                blocks.append(Block("note", "There is more: the whole output of this cell", link=link))
        elif output["type"] == "error":
            trace = output.get("traceback") or output.get("error_trace") or ""
            trace = "\n".join(trace) if isinstance(trace, list) else str(trace)
            blocks.append(Block("error", plain(trace), plain(str(output.get("summary") or output.get("error") or ""))))
        else:
            frames += output.get("mime") == "text/html"
            blocks += _displayed(workspace, run_id, cell.n, output, frames)
    return blocks


def _displayed(workspace: Parts, run_id: int, cell: int, output: Mapping[str, Any], frame: int) -> list[Block]:
    mime = str(output.get("mime", ""))
    if mime == TABLE:
        return _table(output)
    if mime.startswith("image/"):
        return [Block("image", link=_link(workspace, f"runs/{run_id}/files/{output.get('file')}"))]
    if mime == "text/html":
        return [Block("html", link=_link(workspace, f"runs/{run_id}/cells/{cell}/html/{frame}"))]
    if mime == "text/markdown":
        return [Block("markdown", _markdown_html(_content(output)))]
    return [Block("text", plain(_content(output)[:TEXT_LIMIT]))]


def _table(output: Mapping[str, Any]) -> list[Block]:
    rows = [[_shown(value) for value in row] for row in output.get("rows", [])]
    blocks = [Block("table", columns=list(output.get("columns", [])), rows=rows[:ROWS])]
    count = f"{len(rows):,} row{'' if len(rows) == 1 else 's'}"
    if output.get("truncated"):
        count = f"The first {count}: the result is longer"
    if len(rows) > ROWS:
        count += f"; this page shows {ROWS:,} of them"
    if output.get("note"):
        count += f" ({output['note']})"
    return [*blocks, Block("note", count)]


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "null" if value is None else json.dumps(value, ensure_ascii=False)


def _content(output: Mapping[str, Any]) -> str:
    """A display's text, under whichever name it goes."""
    return str(next((output[name] for name in ("html", "markdown", "text", "data") if name in output), ""))


def _markdown_html(source: str) -> Markup:
    text = re.sub(r"\A\s*%md(-sandbox)?[^\S\n]*\n?", "", source)
    return Markup(_markdown.render(text))


def _link(workspace: Parts, page: str) -> str:
    return f"/{page}?key={page_keys.key_of(workspace.settings, page)}"


def plain(text: str) -> str:
    """Text without terminal colours and the like."""
    return _ANSI.sub("", text)


def duration(milliseconds: int) -> str:
    """A duration for people: 350 ms, 4.2 s, 3 min 5 s, 2 h 1 min."""
    if milliseconds < 1000:
        return f"{milliseconds} ms"
    seconds = milliseconds / 1000
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def moment(milliseconds: int | None) -> str:
    """A time for people, in UTC."""
    if not milliseconds:
        return ""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def took(run: Run) -> str:
    """How long a run has taken, up to now if it goes on."""
    return duration((run.ended or now()) - run.submitted)


def starts(job: Job) -> str:
    """How a job's runs start. Schedules are kept paused: nothing here runs by the clock."""
    for kind in ("continuous", "schedule", "trigger"):
        if kind in job.settings:
            paused = kind != "continuous" or job.settings[kind].get("pause_status") == "PAUSED"
            return f"{kind}, paused" if paused else kind
    return "by hand"


def shown_state(run: Run) -> str:
    """One word for a run's state: its result once there is one."""
    return (run.result or run.life).replace("_", " ").capitalize()


def colour(run: Run) -> str:
    """The class of a run's state: good, bad, stopped or going."""
    if run.active:
        return "going"
    if run.result in ("SUCCESS", "SUCCESS_WITH_FAILURES"):
        return "good"
    return "bad" if run.result in ("FAILED", "TIMEDOUT", "UPSTREAM_FAILED") else "stopped"


_pages.globals |= {
    "starts": starts,
    "took": took,
    "shown_state": shown_state,
    "colour": colour,
    "moment": moment,
    "duration": duration,
}
