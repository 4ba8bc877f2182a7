"""What the pages show: lists, tasks, and a notebook's cells with what they printed and displayed.

The output of a notebook can contain anything: all of it is escaped, and HTML is shown in a sandboxed frame.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from markdown_it import MarkdownIt
from markupsafe import Markup

from services.databricks.workspace import auth, events
from services.databricks.workspace.store import Job, Run, now
from services.databricks.workspace.workspace import Workspace

HERE = Path(__file__).parent
TABLE = "application/vnd.pinflow.table+json"
# What a page shows of one cell, which browsers still display quickly; a link leads to the rest.
TEXT_LIMIT = 200_000
ROWS = 1000
_LISTED = 200

_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\-_]")
_markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
_pages = Environment(loader=FileSystemLoader(HERE / "templates"), autoescape=True, trim_blocks=True, lstrip_blocks=True)

Block = dict[str, Any]
"""Something that a cell shows: `kind` is text, error, table, html, markdown, image or note."""


def run_page(workspace: Workspace, run: Run) -> str:
    """The page of a run or task run."""
    tasks = [] if run.parent_id else workspace.store.tasks(run.run_id)
    notebook = run if run.parent_id else tasks[0] if len(tasks) == 1 else None
    attempts = workspace.store.attempts(run.parent_id or run.run_id) if notebook else []
    return _notebook_page(
        workspace,
        run,
        notebook,
        attempts=[each for each in attempts if notebook and each.task_key == notebook.task_key],
        job=auth.link(workspace.settings, f"jobs/{run.job_id}") if run.kind == "JOB_RUN" else "",
        tasks=tasks if len(tasks) > 1 else [],
        parent=auth.link(workspace.settings, f"runs/{run.parent_id}") if run.parent_id else "",
        link=lambda task: auth.link(workspace.settings, f"runs/{task.run_id}"),
        live=run.active,
    )


def exported_page(workspace: Workspace, task: Run) -> str:
    """The page of a task run as one self-contained file, for `runs/export`."""
    style = (HERE / "static" / "style.css").read_text(encoding="utf-8")
    return _notebook_page(workspace, task, task, live=False, style=Markup(style))


def runs_page(workspace: Workspace, job_id: int | None = None) -> str:
    """The latest runs, of one job or of all."""
    runs = workspace.store.runs(_LISTED, job_id=job_id)
    title = "Runs"
    if job_id is not None:
        job = workspace.store.job(job_id)
        title = f"Runs of {job.settings['name'] if job else runs[0].name if runs else f'Job {job_id}'}"
    return render(
        "runs.html",
        title=title,
        runs=runs,
        jobs=auth.link(workspace.settings, "jobs"),
        link=lambda run: auth.link(workspace.settings, f"runs/{run.run_id}"),
        live=True,
    )


def jobs_page(workspace: Workspace) -> str:
    """All jobs, each with its latest run."""
    jobs = workspace.store.jobs(None, _LISTED, 0, None)
    latest = {job.job_id: workspace.store.runs(1, job_id=job.job_id) for job in jobs}
    return render(
        "jobs.html",
        jobs=[(job, next(iter(latest[job.job_id]), None)) for job in jobs],
        runs=auth.link(workspace.settings, "runs"),
        job_link=lambda job: auth.link(workspace.settings, f"jobs/{job.job_id}"),
        link=lambda run: auth.link(workspace.settings, f"runs/{run.run_id}"),
        live=True,
    )


def html_output(workspace: Workspace, run_id: int, cell: int, number: int) -> str | None:
    """The ``number``-th HTML output of a cell, as the notebook produced it."""
    found = 0
    for event in events.read(_directory(workspace, run_id)):
        if event.get("cell") == cell and event["type"] == "display" and event.get("mime") == "text/html":
            found += 1
            if found == number:
                return _content(event)
    return None


def render(template: str, **values: Any) -> str:
    """A template with its values."""
    return _pages.get_template(template).render(now=now(), **values)


def _notebook_page(workspace: Workspace, run: Run, task: Run | None, **values: Any) -> str:
    return render(
        "run.html",
        run=run,
        task=task,
        cells=list(_cells(workspace, task)) if task else [],
        output=workspace.store.output(task.run_id) if task else {},
        user=workspace.settings.user,
        cluster=workspace.settings.cluster_id,
        **values,
    )


def _directory(workspace: Workspace, run_id: int) -> Path:
    return workspace.settings.home / "runs" / str(run_id)


def _cells(workspace: Workspace, task: Run) -> Iterator[dict[str, Any]]:
    for cell in events.cells(_directory(workspace, task.run_id), TEXT_LIMIT):
        yield {
            "n": cell.n,
            "language": cell.language,
            "title": cell.title,
            "source": cell.source,
            "state": _state(cell, task),
            "seconds": duration(int((cell.ended - cell.started) * 1000)) if cell.started and cell.ended else "",
            "blocks": _blocks(workspace, task.run_id, cell),
        }


def _state(cell: events.Cell, task: Run) -> str:
    if cell.failed:
        return "failed"
    if cell.ended:
        return "done"
    if task.active:
        return "running" if cell.started else "waiting"
    return "stopped" if cell.started else "skipped"


def _blocks(workspace: Workspace, run_id: int, cell: events.Cell) -> list[Block]:
    blocks: list[Block] = []
    if cell.language == "md":
        blocks.append({"kind": "markdown", "text": _markdown_html(cell.source)})
    page = f"runs/{run_id}/cells/{cell.n}"
    frames = 0
    for output in cell.outputs:
        mime = str(output.get("mime", ""))
        if output["type"] in ("stdout", "stderr"):
            before = blocks.pop()["text"] if blocks and blocks[-1]["kind"] == "text" else ""
            blocks.append({"kind": "text", "text": before + plain(output["text"])})
            if output.get("cut"):
                more = "There is more: the whole output of this cell"
                blocks.append(
                    {"kind": "note", "text": more, "link": auth.link(workspace.settings, f"{page}/output.txt")}
                )
        elif output["type"] == "error":
            summary = plain(str(output.get("summary") or ""))
            blocks.append({"kind": "error", "text": plain(str(output.get("traceback") or "")), "summary": summary})
        elif mime == TABLE:
            blocks += _table(output)
        elif mime.startswith("image/"):
            link = auth.link(workspace.settings, f"runs/{run_id}/files/{output.get('file')}")
            blocks.append({"kind": "image", "link": link})
        elif mime == "text/html":
            frames += 1
            blocks.append({"kind": "html", "link": auth.link(workspace.settings, f"{page}/html/{frames}")})
        elif mime == "text/markdown":
            blocks.append({"kind": "markdown", "text": _markdown_html(_content(output))})
        else:
            blocks.append({"kind": "text", "text": plain(_content(output)[:TEXT_LIMIT])})
    return blocks


def _table(output: Mapping[str, Any]) -> list[Block]:
    rows = [[_shown(value) for value in row] for row in output.get("rows", [])]
    count = f"{len(rows):,} row{'' if len(rows) == 1 else 's'}"
    if output.get("truncated"):
        count = f"The first {count}: the result is longer"
    if len(rows) > ROWS:
        count += f"; this page shows {ROWS:,} of them"
    if output.get("note"):
        count += f" ({output['note']})"
    table = {"kind": "table", "columns": output.get("columns", []), "rows": rows[:ROWS]}
    return [table, {"kind": "note", "text": count}]


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _content(output: Mapping[str, Any]) -> str:
    """What a display event shows: HTML, or text of another kind."""
    return str(output.get("html") or output.get("text") or "")


def _markdown_html(source: str) -> Markup:
    return Markup(_markdown.render(re.sub(r"\A\s*%md(-sandbox)?[^\S\n]*\n?", "", source)))


def plain(text: str) -> str:
    """Text without terminal colours and other escape sequences."""
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
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d %H:%M:%S}" if milliseconds else ""


def took(run: Run) -> str:
    """How long a run has taken so far."""
    return duration((run.ended or now()) - run.submitted)


def starts(job: Job) -> str:
    """How a job's runs start. Schedules are stored as paused: nothing here runs by the clock."""
    for kind in ("continuous", "schedule", "trigger"):
        if kind in job.settings:
            paused = kind != "continuous" or job.settings[kind].get("pause_status") == "PAUSED"
            return f"{kind}, paused" if paused else kind
    return "by hand"


def shown_state(run: Run) -> str:
    """The state of a run for people: its result once it has one."""
    return (run.result or run.life).replace("_", " ").capitalize()


def colour(run: Run) -> str:
    """The CSS class of a run's state: good, bad, stopped or going."""
    if run.active:
        return "going"
    if run.result in ("SUCCESS", "SUCCESS_WITH_FAILURES"):
        return "good"
    return "bad" if run.result in ("FAILED", "TIMEDOUT", "UPSTREAM_FAILED") else "stopped"


_pages.globals |= {each.__name__: each for each in (starts, took, shown_state, colour, moment, duration)}
