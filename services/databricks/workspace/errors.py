"""Errors in the form of the Databricks REST API: an HTTP status and `{"error_code": …, "message": …}`."""

from __future__ import annotations

from foundation.errors import PinflowError


class ApiError(PinflowError):
    """An answer other than 200; ``what`` is the message."""

    def __init__(self, status: int, error_code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.error_code = error_code


def invalid_parameter(message: str) -> ApiError:
    """A parameter with an impossible value."""
    return ApiError(400, "INVALID_PARAMETER_VALUE", message)


def malformed(message: str) -> ApiError:
    """A request that cannot be read."""
    return ApiError(400, "MALFORMED_REQUEST", message)


def does_not_exist(message: str) -> ApiError:
    """A path that does not exist. (Unknown jobs and runs are INVALID_PARAMETER_VALUE on Databricks.)"""
    return ApiError(404, "RESOURCE_DOES_NOT_EXIST", message)


def already_exists(message: str) -> ApiError:
    """A path that exists already; Databricks answers 400, not 409."""
    return ApiError(400, "RESOURCE_ALREADY_EXISTS", message)


def invalid_state(message: str) -> ApiError:
    """Something that is impossible now."""
    return ApiError(400, "INVALID_STATE", message)


def not_implemented(what: str) -> ApiError:
    """A part of Databricks that this workspace does not have."""
    return ApiError(501, "NOT_IMPLEMENTED", f"{what} is not part of this local workspace.")
