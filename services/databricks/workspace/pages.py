"""The pages: the lists of runs and jobs, each run, and what their frames and figures load.

Each opens with its own key; the lists also with the token, and without one where `auth.needs_no_token` says so.
"""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, StreamingResponse

from services.databricks.workspace import events, page_keys
from services.databricks.workspace.auth import is_token, needs_no_token
from services.databricks.workspace.parts import Parts, parts
from services.databricks.workspace.request import Int64
from services.databricks.workspace.run_page import (
    HERE,
    entrance_page,
    html_output,
    jobs_page,
    plain,
    run_page,
    runs_page,
)
from services.databricks.workspace.store import Listing

Workspace = Annotated[Parts, Depends(parts)]
_LISTED = 200
_FIGURES = {".png": "image/png", ".jpg": "image/jpeg", ".svg": "image/svg+xml"}
_STATIC = {"style.css": "text/css", "live.js": "text/javascript"}

_PAGE = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    # A site that opened the page in a window of its own has no hold of it.
    "Cross-Origin-Opener-Policy": "same-origin",
}
# A notebook's HTML may bring scripts (as displayHTML does on Databricks). `sandbox` puts it into an origin of its own,
# in a frame and opened by itself, so it reads neither this site's pages nor their keys.
_FRAME = {
    "Content-Security-Policy": "sandbox allow-scripts; default-src 'none'; style-src 'unsafe-inline' https:; "
    "script-src 'unsafe-inline' 'unsafe-eval' https:; img-src data: https:; font-src data: https:; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'self'",
    "Cache-Control": "no-store",
}
_BEFORE = '<!doctype html><meta charset="utf-8"><style>body{margin:8px 14px;font:14px/1.5 system-ui,sans-serif}</style>'
_AFTER = (
    "<script>addEventListener('load',()=>new ResizeObserver(()=>parent.postMessage("
    "{height:document.documentElement.offsetHeight},'*')).observe(document.documentElement))</script>"
)


def open_page(request: Request, workspace: Workspace, key: str = "") -> None:
    """Refuse a page without its key."""
    if not page_keys.fits(workspace.settings, request.url.path.removeprefix("/"), key):
        raise RefusedError("This link is not complete. Use the run_page_url of the run.")


class RefusedError(Exception):
    """A page that is not shown; ``refused`` answers it."""


def refused(request: Request, error: Exception) -> Response:
    """The answer to a page that is not shown."""
    return Response(str(error), 403, _PAGE, "text/plain; charset=utf-8")


router = APIRouter()
keyed = APIRouter(dependencies=[Depends(open_page)])


@router.get("/")
def show_root() -> Response:
    return RedirectResponse("/runs", 303)


@router.get("/runs")
def show_runs(request: Request, workspace: Workspace, key: str = "") -> Response:
    if not _opens(request, workspace, page_keys.RUNS, key):
        return _entrance()
    runs = workspace.store.runs(Listing(limit=_LISTED))
    return HTMLResponse(runs_page(workspace, "Runs", runs), headers=_PAGE)


@router.get("/jobs")
def show_jobs(request: Request, workspace: Workspace, key: str = "") -> Response:
    if not _opens(request, workspace, page_keys.JOBS, key):
        return _entrance()
    return HTMLResponse(jobs_page(workspace, workspace.store.jobs(None, _LISTED, 0, None)), headers=_PAGE)


@router.get("/jobs/{job_id}")
def show_job(request: Request, workspace: Workspace, job_id: Int64, key: str = "") -> Response:
    if not _opens(request, workspace, page_keys.job_page(job_id), key):
        return _entrance()
    job = workspace.store.job(job_id)
    runs = workspace.store.runs(Listing(limit=_LISTED, job_id=job_id))
    name = job.settings["name"] if job else runs[0].name if runs else f"Job {job_id}"
    return HTMLResponse(runs_page(workspace, f"Runs of {name}", runs), headers=_PAGE)


@router.post("/runs")
def enter(workspace: Workspace, token: Annotated[str, Form()]) -> Response:
    return _enter(workspace, page_keys.RUNS, token)


@router.post("/jobs")
def enter_jobs(workspace: Workspace, token: Annotated[str, Form()]) -> Response:
    return _enter(workspace, page_keys.JOBS, token)


@router.post("/jobs/{job_id}")
def enter_job(workspace: Workspace, job_id: Int64, token: Annotated[str, Form()]) -> Response:
    return _enter(workspace, page_keys.job_page(job_id), token)


def _opens(request: Request, workspace: Parts, page: str, key: str) -> bool:
    return page_keys.fits(workspace.settings, page, key) or needs_no_token(request, workspace.settings)


def _entrance(wrong: bool = False) -> Response:
    return HTMLResponse(entrance_page(wrong), 403 if wrong else 200, headers=_PAGE)


def _enter(workspace: Parts, page: str, token: str) -> Response:
    if not is_token(workspace.settings, token):
        return _entrance(wrong=True)
    return RedirectResponse(page_keys.page_url(workspace.settings, page), 303)


@router.get("/static/{name}")
def show_static(name: str) -> Response:
    if name not in _STATIC:
        return Response("Not found", 404)
    return FileResponse(HERE / "static" / name, media_type=_STATIC[name], headers={"Cache-Control": "no-cache"})


@keyed.get("/runs/{run_id}")
def show_run(workspace: Workspace, run_id: int) -> Response:
    run = workspace.store.run(run_id)
    if run is None:
        return Response("This run is not there any more.", 404, _PAGE, "text/plain")
    return HTMLResponse(run_page(workspace, run), headers=_PAGE)


@keyed.get("/runs/{run_id}/cells/{cell}/html/{number}")
def show_html(workspace: Workspace, run_id: int, cell: int, number: int) -> Response:
    html = html_output(workspace, run_id, cell, number)
    if html is None:
        return Response("Not found", 404, _FRAME)
    return HTMLResponse(f"{_BEFORE}{html}{_AFTER}", headers=_FRAME)


@keyed.get("/runs/{run_id}/cells/{cell}/output.txt")
def show_text(workspace: Workspace, run_id: int, cell: int) -> Response:
    directory = workspace.settings.home / "runs" / str(run_id)
    texts = (plain(text) for text in events.printed(directory, cell))
    return StreamingResponse(texts, media_type="text/plain; charset=utf-8", headers=_PAGE)


@keyed.get("/runs/{run_id}/files/{name}")
def show_figure(workspace: Workspace, run_id: int, name: str) -> Response:
    figure = workspace.settings.home / "runs" / str(run_id) / name
    if not re.fullmatch(r"cell\d+-\d+\.(png|jpg|svg)", name) or not figure.is_file():
        return Response("Not found", 404)
    return FileResponse(figure, media_type=_FIGURES[figure.suffix], headers=_FRAME)
