"""The workspace as one Starlette application."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from foundation import supervised
from services.databricks.workspace import auth, cluster_api, dbfs_api, jobs_api, pages, secrets_api, workspace_api
from services.databricks.workspace.body import BoundedBody
from services.databricks.workspace.errors import ApiError, malformed, not_implemented
from services.databricks.workspace.settings import Settings
from services.databricks.workspace.workspace import Workspace

log = logging.getLogger(__name__)
APIS = (cluster_api.api, cluster_api.others, dbfs_api.api, jobs_api.api, secrets_api.api, workspace_api.api)
_HEADERS = {
    "X-Databricks-Org-Id": cluster_api.WORKSPACE_ID,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-site",
}


def make_app(settings: Settings) -> Starlette:
    """The application; its workspace opens and closes with it."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        app.state.workspace = Workspace(settings)
        await app.state.workspace.open()
        yield
        await app.state.workspace.close()

    async def guard(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
        try:
            auth.check_host(request, settings)
            if request.url.path.startswith("/api/"):
                auth.check(request, settings)
            response = await answer(request)
        except ApiError as error:
            response = _error(request, error)
        response.headers.update(_HEADERS)
        return response

    def describe(request: Request) -> Response:
        return JSONResponse({"oidc_endpoint": f"{settings.url}/oidc", "workspace_id": cluster_api.WORKSPACE_ID})

    def show_failing_loops(request: Request) -> Response:
        return JSONResponse(supervised.failing())

    routes = [
        Route("/.well-known/databricks-config", describe),
        Route(supervised.PATH, show_failing_loops),
        *(route for api in APIS for call in api.calls for route in call.routes()),
        *pages.ROUTES,
    ]
    for route in routes:
        # Starlette adds HEAD to each GET; the API answers it with 501, as every method that it does not have.
        route.methods = (route.methods or set()) - {"HEAD"}
    app = Starlette(
        routes=routes,
        lifespan=lifespan,
        # The bound is inside the guard: what it raises outside would arrive as a group of errors.
        middleware=[Middleware(BaseHTTPMiddleware, dispatch=guard), Middleware(BoundedBody)],
        exception_handlers={ApiError: _error, HTTPException: _unknown, Exception: _failed},
    )
    app.router.redirect_slashes = False
    return app


def _error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    log.info("%s %s: %s %s: %s", request.method, request.url.path, error.status, error.error_code, error.what)
    return JSONResponse({"error_code": error.error_code, "message": error.what}, error.status)


def _unknown(request: Request, error: Exception) -> Response:
    """Answers for paths, methods and versions that do not exist here, and for forms that cannot be read."""
    if isinstance(error, HTTPException) and error.status_code not in (404, 405):
        return _error(request, malformed(str(error.detail)))
    return _error(request, not_implemented(f"{request.method} {request.url.path}"))


def _failed(request: Request, error: Exception) -> Response:
    log.exception("%s %s failed", request.method, request.url.path, exc_info=error)
    return JSONResponse({"error_code": "INTERNAL_ERROR", "message": "The workspace failed; see its log."}, 500)
