"""How calls of the REST API are declared, read and answered.

Parameters come in the query, in a JSON body (GET too: Airflow's deferrable operators do that) or in a form. Numbers
and booleans may come as strings (Airflow sends them so), null means absent, and unknown parameters are ignored.
"""

from __future__ import annotations

import base64
import json
import math
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError, ValidationInfo
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from services.databricks.workspace.errors import invalid_parameter, malformed

Model = TypeVar("Model", bound="Parameters")
Function = TypeVar("Function", bound=Callable[..., Any])

WITHOUT_EFFECT = "accepted without effect"
"""Marks a field of a model that is stored and otherwise ignored; docs/capabilities.md lists these fields."""
_MAX_DEPTH = 100
# Values of these fields must not appear in an error message, which is also logged.
_SECRETS = ("string_value", "bytes_value", "token")


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


def _int64(number: int) -> int:
    if not -(2**63) <= number < 2**63:
        raise ValueError(f"{number} is not a 64-bit number.")
    return number


def _from_base64(value: Any, info: ValidationInfo) -> bytes:
    if isinstance(value, bytes):
        return value  # a part of a form
    try:
        return base64.b64decode(value, validate=True)
    except (ValueError, TypeError):
        raise ValueError(f"{info.field_name} is not base64.") from None


# Text that may come as a JSON number or boolean, such as the value of a notebook's parameter.
Text = Annotated[str, BeforeValidator(_text)]
# Ids and times have 64 bits in the API and in SQLite, which fails on larger numbers.
Int64 = Annotated[int, AfterValidator(_int64)]
Base64 = Annotated[bytes, BeforeValidator(_from_base64)]


class Parameters(BaseModel):
    """The parameters of one call."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)


@dataclass(frozen=True)
class Call:
    """A method and path, the API versions that have it, and the function that answers it."""

    method: str
    path: str
    versions: tuple[str, ...]
    function: Callable[..., Any]
    without_effect: bool

    def routes(self) -> Iterator[Route]:
        """One route per version."""
        for version in self.versions or ("",):
            path = self.path.replace("{version}", version)
            yield Route(path, self._endpoint(version), methods=[self.method], name=path)

    def _endpoint(self, version: str) -> Callable[[Request], Any]:
        model = typing.get_type_hints(self.function)["asked"]

        async def answer(request: Request) -> Response:
            values = await _received(request)
            _check(values)
            arguments = request.app.state.workspace, parse(model, {**values, "version": version})
            if iscoroutinefunction(self.function):
                answer = await self.function(*arguments)
            else:
                answer = await run_in_threadpool(self.function, *arguments)
            return answer if isinstance(answer, Response) else JSONResponse({} if answer is None else answer)

        return answer


class Api:
    """The calls below one path. A function takes the workspace and its ``asked`` model, and returns JSON or None.

    `async` functions run in the event loop's thread, which owns the runs; the others in a thread pool.
    """

    def __init__(self, path: str, *versions: str) -> None:
        self._path, self._versions = path, versions
        self.calls: list[Call] = []

    def get(self, path: str) -> Callable[[Function], Function]:
        """Register a GET call."""
        return self._register("GET", path, without_effect=False)

    def post(self, path: str, without_effect: bool = False) -> Callable[[Function], Function]:
        """Register a POST call."""
        return self._register("POST", path, without_effect)

    def _register(self, method: str, path: str, without_effect: bool) -> Callable[[Function], Function]:
        def register(function: Function) -> Function:
            self.calls.append(Call(method, self._path + path, self._versions, function, without_effect))
            return function

        return register


def parse(model: type[Model], values: dict[str, Any]) -> Model:
    """``values`` as ``model``; raises an ApiError that names the field."""
    try:
        return model.model_validate(_without_nulls(values))
    except ValidationError as error:
        problem = error.errors(include_url=False, include_context=False)[0]
        field = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "missing":
            raise invalid_parameter(f"Missing required field: {field}") from None
        if problem["type"] == "value_error":
            raise invalid_parameter(problem["msg"].removeprefix("Value error, ")) from None
        raise malformed(f"Could not parse request object: field '{field}': {problem['msg']}") from None


async def _received(request: Request) -> dict[str, Any]:
    values: dict[str, Any] = dict(request.query_params)
    kind = request.headers.get("content-type", "")
    if kind.startswith(("multipart/form-data", "application/x-www-form-urlencoded")):
        async with request.form() as form:
            for name, value in form.items():
                values[name] = await value.read() if isinstance(value, UploadFile) else value
    elif body := await request.body():
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            raise malformed("Invalid JSON given in the body of the request - failed to parse given JSON") from None
        if not isinstance(document, dict):
            raise malformed("Invalid JSON given in the body of the request - expected a map")
        values.update(document)
    return values


def _check(value: Any, depth: int = 0, field: str = "") -> None:
    """Raise ApiError for what Python reads but cannot write as JSON: lone surrogates, NaN, Infinity, deep nesting."""
    if depth > _MAX_DEPTH:
        raise malformed("The request is nested too deeply.")
    if isinstance(value, dict):
        for name, each in value.items():
            _check(name)
            _check(each, depth + 1, name)
    elif isinstance(value, list):
        for each in value:
            _check(each, depth + 1)
    elif isinstance(value, float) and not math.isfinite(value):
        raise invalid_parameter(f"Not a number: {value}")
    elif isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            shown = "a secret" if field in _SECRETS else ascii(value)[:200]
            raise invalid_parameter(f"Not valid Unicode text: {shown}") from None


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_nulls(v) for k, v in value.items() if v is not None}
    return [_without_nulls(v) for v in value] if isinstance(value, list) else value
