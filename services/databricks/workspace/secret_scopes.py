"""Secret scopes: those of the profile, which are fixed, and those made through the API, which are stored in one file.

https://docs.databricks.com/aws/en/security/secrets/workspace-secret-scopes
"""

from __future__ import annotations

import base64
import json
import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from services.databricks.workspace.errors import ApiError, already_exists, does_not_exist, invalid_parameter
from services.databricks.workspace.store import now

MAX_SCOPES = MAX_SECRETS = 1000
MAX_VALUE = 128 * 1024
"""Bytes of a secret's value."""
PERMISSIONS = ("READ", "WRITE", "MANAGE")
_NAME = re.compile(r"[A-Za-z0-9_.@/-]{1,128}")  # as Terraform's provider checks it: more than the API's page says
_KEY = re.compile(r"[A-Za-z0-9_.-]{1,128}")

Scope = dict[str, dict[str, Any]]
"""{"acls": {principal: permission}, "secrets": {key: {"value": base64, "updated": milliseconds}}}"""


class SecretScopes:
    """All scopes of a workspace. Names of scopes and keys are case-insensitive, as on Databricks.

    ``file`` holds the values, so only its owner may read it. A call returns after its change is stored.
    """

    def __init__(self, file: Path, of_profile: Mapping[str, Mapping[str, SecretStr]], user: str) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._fixed: dict[str, Scope] = {
            name: {
                "acls": {user: "MANAGE"},
                "secrets": {key: _secret(value.get_secret_value().encode(), 0) for key, value in secrets.items()},
            }
            for name, secrets in of_profile.items()
        }
        self._made: dict[str, Scope] = self._stored()

    def names(self) -> list[str]:
        """The scopes of the profile, then the others."""
        with self._lock:
            return [*self._fixed, *(name for name in self._made if _found(self._fixed, name) is None)]

    def create(self, scope: str, manager: str) -> None:
        """Create an empty scope that ``manager`` may manage."""
        if not _NAME.fullmatch(scope):
            allowed = "alphanumeric characters, dashes, underscores, @, periods and slashes"
            raise invalid_parameter(f"Scope name must consist of {allowed}, and must not exceed 128 characters.")
        with self._changing():
            if _found(self._fixed, scope):
                raise already_exists(f"Scope {scope} already exists: {_where(scope)}.")
            if _found(self._made, scope):
                raise already_exists(f"Scope {scope} already exists!")
            if len(self._made) >= MAX_SCOPES:
                raise _limit(f"The workspace has {MAX_SCOPES} secret scopes, and cannot have more.")
            self._made[scope] = {"acls": {manager: "MANAGE"}, "secrets": {}}

    def delete(self, scope: str) -> None:
        """Delete a scope with everything in it."""
        with self._changing():
            self._changeable(scope)
            del self._made[str(_found(self._made, scope))]

    def put(self, scope: str, key: str, value: bytes) -> None:
        """Set a secret's value."""
        if not _KEY.fullmatch(key):
            allowed = "alphanumeric characters, dashes, underscores and periods"
            raise invalid_parameter(f"Secret key must consist of {allowed}, and must not exceed 128 characters.")
        if len(value) > MAX_VALUE:
            raise invalid_parameter(f"The value of a secret must not be larger than {MAX_VALUE} bytes.")
        with self._changing():
            secrets = self._changeable(scope)["secrets"]
            existing = _found(secrets, key)
            if existing is None and len(secrets) >= MAX_SECRETS:
                raise _limit(f"Scope {scope} has {MAX_SECRETS} secrets, and cannot have more.")
            secrets[existing or key] = _secret(value, now())

    def delete_secret(self, scope: str, key: str) -> None:
        """Delete one secret."""
        with self._changing():
            secrets = self._changeable(scope)["secrets"]
            del secrets[_existing(secrets, scope, key)]

    def secrets(self, scope: str) -> dict[str, int]:
        """The keys of a scope, and when each was set (milliseconds; 0 in a scope of the profile)."""
        with self._lock:
            return {key: int(secret["updated"]) for key, secret in self._scope(scope)["secrets"].items()}

    def value(self, scope: str, key: str) -> bytes:
        """A secret's value."""
        with self._lock:
            secrets = self._scope(scope)["secrets"]
            return base64.b64decode(secrets[_existing(secrets, scope, key)]["value"])

    def acls(self, scope: str) -> dict[str, str]:
        """Who has which permission on a scope: stored, but without effect, because the one user is an admin."""
        with self._lock:
            return dict(self._scope(scope)["acls"])

    def put_acl(self, scope: str, principal: str, permission: str) -> None:
        """Set a principal's permission."""
        if permission not in PERMISSIONS:
            raise invalid_parameter(f"Permission {permission} is none of {', '.join(PERMISSIONS)}.")
        if not principal:
            raise invalid_parameter("The principal must not be empty.")
        with self._changing():
            self._changeable(scope)["acls"][principal] = permission

    def delete_acl(self, scope: str, principal: str) -> None:
        """Delete a principal's permission."""
        with self._changing():
            if self._changeable(scope)["acls"].pop(principal, None) is None:
                raise does_not_exist(f"ACL of {principal} on scope {scope} does not exist!")

    def _scope(self, scope: str) -> Scope:
        for scopes in (self._fixed, self._made):
            if found := _found(scopes, scope):
                return scopes[found]
        raise does_not_exist(f"Scope {scope} does not exist!")

    def _changeable(self, scope: str) -> Scope:
        if _found(self._fixed, scope):
            # The code that Databricks has for its own internal scopes, and for those of an Azure Key Vault.
            raise ApiError(400, "BAD_REQUEST", f"Scope {scope} cannot be changed through the API: {_where(scope)}.")
        return self._scope(scope)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with self._lock:
            yield
            self._save()

    def _save(self) -> None:
        """Store all or nothing, in memory and in the file; a kill leaves the old file or the new one."""
        new = self._file.with_suffix(".new")
        try:
            new.unlink(missing_ok=True)
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
                json.dump(self._made, file)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._file)
        except OSError:
            self._made = self._stored()
            raise

    def _stored(self) -> dict[str, Scope]:
        return dict(json.loads(self._file.read_bytes())) if self._file.exists() else {}


def _secret(value: bytes, updated: int) -> dict[str, Any]:
    return {"value": base64.b64encode(value).decode(), "updated": updated}


def _found(names: Mapping[str, Any], name: str) -> str | None:
    """The name in the case in which it was created."""
    return next((each for each in names if each.lower() == name.lower()), None)


def _existing(secrets: Mapping[str, Any], scope: str, key: str) -> str:
    existing = _found(secrets, key)
    if existing is None:
        raise does_not_exist(f"Secret does not exist with scope: {scope} and key: {key}")
    return existing


def _where(scope: str) -> str:
    return f"it is in the profile (databricks.secrets.{scope}), where it is changed"


def _limit(message: str) -> ApiError:
    return ApiError(400, "RESOURCE_LIMIT_EXCEEDED", message)
