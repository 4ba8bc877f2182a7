"""The workspace as one FastAPI application."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from foundation import supervised
from services.databricks.workspace import auth, cluster_api, dbfs_api, jobs_api, pages, secrets_api, workspace_api
from services.databricks.workspace.body import BoundedBody
from services.databricks.workspace.continuous import ContinuousJobs
from services.databricks.workspace.errors import ApiError, malformed, not_implemented
from services.databricks.workspace.parts import Parts
from services.databricks.workspace.runs import Runs
from services.databricks.workspace.secret_scopes import SecretScopes
from services.databricks.workspace.settings import Settings
from services.databricks.workspace.store import Store
from services.databricks.workspace.tree import Tree
from services.databricks.workspace.uploads import Uploads

log = logging.getLogger(__name__)
_HEADERS = {
    "X-Databricks-Org-Id": cluster_api.WORKSPACE_ID,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-site",
}


def make_app(settings: Settings) -> FastAPI:
    """The application; its state is opened and closed with it."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        settings.home.mkdir(parents=True, exist_ok=True)
        # Outputs of notebooks hold data, and a machine can have other users.
        settings.home.chmod(0o700)
        store = Store(settings.home / "workspace.sqlite")
        tree = Tree(settings.home / "workspace", store, settings.user)
        runs = Runs(settings, store, tree)
        secrets = SecretScopes(settings.home / "secrets.json", settings.secrets, settings.user)
        continuous = ContinuousJobs(runs, store)
        app.state.parts = Parts(settings, store, tree, runs, continuous, Uploads(), secrets)
        await runs.open()
        continuous.open()
        yield
        continuous.close()
        await runs.close()
        store.close()

    app = FastAPI(lifespan=lifespan, openapi_url=None, redirect_slashes=False)
    # Before the guard, so inside of it: what is raised there while a body is read would arrive in a group of errors.
    app.add_middleware(BoundedBody)

    @app.middleware("http")
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

    @app.get("/.well-known/databricks-config")
    def describe() -> dict[str, str]:
        return {"oidc_endpoint": f"{settings.url}/oidc", "workspace_id": cluster_api.WORKSPACE_ID}

    @app.get(supervised.PATH)
    def show_failing_loops() -> list[dict[str, Any]]:
        return supervised.failing()

    for api in (jobs_api, workspace_api, dbfs_api, cluster_api, secrets_api, pages):
        app.include_router(api.router)
    app.include_router(pages.keyed)
    app.add_exception_handler(ApiError, _error)
    app.add_exception_handler(pages.RefusedError, pages.refused)
    app.add_exception_handler(HTTPException, _unknown)
    app.add_exception_handler(RequestValidationError, _unknown)
    app.add_exception_handler(Exception, _failed)
    return app


def _error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    log.info("%s %s: %s %s: %s", request.method, request.url.path, error.status, error.error_code, error.what)
    return JSONResponse({"error_code": error.error_code, "message": error.what}, error.status)


def _unknown(request: Request, error: Exception) -> Response:
    """Every path, method and version that is not there; and a form that cannot be read."""
    if isinstance(error, HTTPException) and error.status_code not in (404, 405):
        return _error(request, malformed(str(error.detail)))
    return _error(request, not_implemented(f"{request.method} {request.url.path}"))


def _failed(request: Request, error: Exception) -> Response:
    log.exception("%s %s failed", request.method, request.url.path, exc_info=error)
    message = "The workspace failed; its log says why."
    return JSONResponse({"error_code": "INTERNAL_ERROR", "message": message}, 500)
