"""Reads a request's parameters as Databricks does.

They come in the query, in a JSON body (GET too: Airflow's deferrable operators do that) or in a form; numbers
and booleans also as strings (Airflow sends them so); null is the same as absent; unknown ones are ignored.
"""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

from fastapi import Request
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError
from starlette.datastructures import UploadFile

from services.databricks.workspace.errors import invalid_parameter, malformed

Model = TypeVar("Model", bound="Parameters")

WITHOUT_EFFECT = "accepted without effect"
"""The tag of a route whose call is accepted and changes nothing here; docs/capabilities.md shows it."""

# Of lists and objects in each other; FastAPI writes no answer of more than some 250.
_MAX_DEPTH = 100
# Their values stand in no answer, which the log repeats.
_SECRETS = ("string_value", "bytes_value", "token")


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


# A text that may come as a JSON number or boolean, such as the value of a notebook's parameter.
Text = Annotated[str, BeforeValidator(_text)]


def _int64(number: int) -> int:
    if not -(2**63) <= number < 2**63:
        raise ValueError(f"{number} is not a 64-bit number.")
    return number


# Ids and times: 64 bits in the API, and in SQLite, which fails at a greater number.
Int64 = Annotated[int, AfterValidator(_int64)]


class Parameters(BaseModel):
    """The parameters of one call."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)


def reading(model: type[Model]) -> Callable[[Request], Awaitable[Model]]:
    """A FastAPI dependency that gives the request's parameters as ``model``; raises ApiError."""

    async def read(request: Request) -> Model:
        values = await _received(request)
        _check(values)
        return parse(model, values)

    return read


def parse(model: type[Model], values: dict[str, Any]) -> Model:
    """``values`` as ``model``; raises ApiError that names the field."""
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
        return values
    body = await request.body()
    if body:
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            raise malformed("Invalid JSON given in the body of the request - failed to parse given JSON") from None
        if not isinstance(document, dict):
            raise malformed("Invalid JSON given in the body of the request - expected a map")
        values.update(document)
    return values


def _check(value: Any, depth: int = 0, field: str = "") -> None:
    """Raise ApiError for what Python reads and no answer can hold: half a character ("\\ud800"), NaN and Infinity."""
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
            raise invalid_parameter(f"Not a text of whole characters: {shown}") from None


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_nulls(v) for k, v in value.items() if v is not None}
    return [_without_nulls(v) for v in value] if isinstance(value, list) else value
