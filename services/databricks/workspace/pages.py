"""The pages: the lists of runs and jobs, each run, and what its frames and figures load.

Each opens with its own key. The lists also open with the token, and without one where `auth.needs_no_token` says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from starlette.concurrency import run_in_threadpool
from starlette.convertors import IntegerConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.responses import StreamingResponse as Stream
from starlette.routing import Route

from services.databricks.workspace import auth, events, run_page
from services.databricks.workspace.errors import not_implemented
from services.databricks.workspace.workspace import Workspace

_FIGURES = {".png": "image/png", ".jpg": "image/jpeg", ".svg": "image/svg+xml"}
_STATIC = {"style.css": "text/css", "live.js": "text/javascript"}
_PAGE = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    # A site that opened the page in its own window gets no handle to it.
    "Cross-Origin-Opener-Policy": "same-origin",
}
# A notebook's HTML may contain scripts, as displayHTML allows on Databricks. `sandbox` gives it its own origin, in a
# frame and opened by itself, so it can read neither this site's pages nor their keys.
_FRAME = {
    "Content-Security-Policy": "sandbox allow-scripts; default-src 'none'; style-src 'unsafe-inline' https:; "
    "script-src 'unsafe-inline' 'unsafe-eval' https:; img-src data: https:; font-src data: https:; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'self'",
    "Cache-Control": "no-store",
}


def show_root(request: Request) -> Response:
    return RedirectResponse("/runs", 303)


async def show_list(request: Request) -> Response:
    """The runs, the jobs, or the runs of one job; the form for the token where a key or token is required."""
    workspace: Workspace = request.app.state.workspace
    settings, page = workspace.settings, request.url.path.removeprefix("/")
    if request.method == "POST":
        if auth.is_token(settings, str((await request.form()).get("token", ""))):
            return RedirectResponse(auth.url(settings, page), 303)
        return HTMLResponse(run_page.render("entrance.html", wrong=True, live=False), 403, _PAGE)
    key = request.query_params.get("key", "")
    if not (auth.opens(settings, page, key) or auth.needs_no_token(request, settings)):
        return HTMLResponse(run_page.render("entrance.html", wrong=False, live=False), headers=_PAGE)
    if page == "runs":
        shown = await run_in_threadpool(run_page.runs_page, workspace)
    elif page == "jobs":
        shown = await run_in_threadpool(run_page.jobs_page, workspace)
    else:
        shown = await run_in_threadpool(run_page.runs_page, workspace, _number(request, "job_id"))
    return HTMLResponse(shown, headers=_PAGE)


def show_static(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in _STATIC:
        return PlainTextResponse("Not found", 404)
    file = run_page.HERE / "static" / name
    return FileResponse(file, media_type=_STATIC[name], headers={"Cache-Control": "no-cache"})


def show_run(request: Request, workspace: Workspace) -> Response:
    run = workspace.store.run(_number(request, "run_id"))
    if run is None:
        return PlainTextResponse("This run was deleted.", 404, _PAGE)
    return HTMLResponse(run_page.run_page(workspace, run), headers=_PAGE)


def show_html(request: Request, workspace: Workspace) -> Response:
    """One HTML output of a cell, in a document that tells its height to the page around it."""
    wanted = (_number(request, name) for name in ("run_id", "cell", "number"))
    html = run_page.html_output(workspace, *wanted)
    if html is None:
        return PlainTextResponse("Not found", 404, _FRAME)
    return HTMLResponse(run_page.render("frame.html", html=html), headers=_FRAME)


def show_text(request: Request, workspace: Workspace) -> Response:
    directory = workspace.settings.home / "runs" / str(_number(request, "run_id"))
    texts = (run_page.plain(text) for text in events.printed(directory, _number(request, "cell")))
    return Stream(texts, media_type="text/plain; charset=utf-8", headers=_PAGE)


def show_figure(request: Request, workspace: Workspace) -> Response:
    name = request.path_params["name"]
    figure = workspace.settings.home / "runs" / str(_number(request, "run_id")) / name
    if not re.fullmatch(r"cell\d+-\d+\.(png|jpg|svg)", name) or not figure.is_file():
        return PlainTextResponse("Not found", 404)
    return FileResponse(figure, media_type=_FIGURES[figure.suffix], headers=_FRAME)


def _with_key(show: Callable[[Request, Workspace], Response]) -> Callable[[Request], Response]:
    """Refuse the page without its key."""

    def checked(request: Request) -> Response:
        workspace: Workspace = request.app.state.workspace
        page, key = request.url.path.removeprefix("/"), request.query_params.get("key", "")
        if not auth.opens(workspace.settings, page, key):
            return PlainTextResponse("This link is incomplete. Use the run_page_url of the run.", 403, _PAGE)
        return show(request, workspace)

    return checked


def _number(request: Request, name: str) -> int:
    """A number of the path; 64 bits, or SQLite fails."""
    number = int(request.path_params[name])
    if number >= 2**63:
        raise not_implemented(f"{request.method} {request.url.path}")
    return number


class _Number(IntegerConvertor):
    regex = "[0-9]{1,19}"  # int() refuses texts of over 4,300 digits


register_url_convertor("number", _Number())

ROUTES = [
    Route("/", show_root),
    Route("/runs", show_list, methods=["GET", "POST"]),
    Route("/jobs", show_list, methods=["GET", "POST"]),
    Route("/jobs/{job_id:number}", show_list, methods=["GET", "POST"]),
    Route("/static/{name}", show_static),
    Route("/runs/{run_id:number}", _with_key(show_run)),
    Route("/runs/{run_id:number}/cells/{cell:number}/html/{number:number}", _with_key(show_html)),
    Route("/runs/{run_id:number}/cells/{cell:number}/output.txt", _with_key(show_text)),
    Route("/runs/{run_id:number}/files/{name}", _with_key(show_figure)),
]
