"""Secret scopes: those of the profile, which are fixed, and those that are made through the API, kept in one file.

https://docs.databricks.com/aws/en/security/secrets/workspace-secret-scopes
"""

from __future__ import annotations

import base64
import json
import os
import re
import threading
from collections.abc import Mapping
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


class SecretScopes:
    """All scopes of a workspace. Names of scopes and keys are found whatever their case, as on Databricks.

    ``file`` holds the values, so only its owner may read it. What changes is there before a call returns.
    """

    def __init__(self, file: Path, of_profile: Mapping[str, Mapping[str, SecretStr]], user: str) -> None:
        self._file, self._of_profile, self._user = file, of_profile, user
        self._lock = threading.Lock()
        # scope → {"acls": {principal: permission}, "secrets": {key: {"value": base64, "updated": milliseconds}}}
        self._made = self._saved()

    def names(self) -> list[str]:
        """The scopes of the profile, then the others."""
        with self._lock:
            hidden = {name.lower() for name in self._of_profile}
            return [*self._of_profile, *(name for name in self._made if name.lower() not in hidden)]

    def create(self, scope: str, manager: str) -> None:
        """Make an empty scope that ``manager`` may manage."""
        if not _NAME.fullmatch(scope):
            allowed = "alphanumeric characters, dashes, underscores, @, periods and slashes"
            raise invalid_parameter(f"Scope name must consist of {allowed}, and must not exceed 128 characters.")
        with self._lock:
            if self._profiles(scope) is not None:
                raise already_exists(f"Scope {scope} already exists: {_where(scope)}.")
            if _found(self._made, scope) is not None:
                raise already_exists(f"Scope {scope} already exists!")
            if len(self._made) >= MAX_SCOPES:
                raise _limit(f"The workspace has {MAX_SCOPES} secret scopes, and cannot have more.")
            self._made[scope] = {"acls": {manager: "MANAGE"}, "secrets": {}}
            self._save()

    def delete(self, scope: str) -> None:
        """Delete a scope with all that is in it."""
        with self._lock:
            self._changeable(scope)
            del self._made[str(_found(self._made, scope))]
            self._save()

    def put(self, scope: str, key: str, value: bytes) -> None:
        """Set a secret's value, over the one that it has."""
        if not _KEY.fullmatch(key):
            allowed = "alphanumeric characters, dashes, underscores and periods"
            raise invalid_parameter(f"Secret key must consist of {allowed}, and must not exceed 128 characters.")
        if len(value) > MAX_VALUE:
            raise invalid_parameter(f"The value of a secret must not be larger than {MAX_VALUE} bytes.")
        with self._lock:
            secrets = self._changeable(scope)["secrets"]
            existing = _found(secrets, key)
            if existing is None and len(secrets) >= MAX_SECRETS:
                raise _limit(f"Scope {scope} has {MAX_SECRETS} secrets, and cannot have more.")
            secrets[existing or key] = {"value": base64.b64encode(value).decode(), "updated": now()}
            self._save()

    def delete_secret(self, scope: str, key: str) -> None:
        """Delete one secret."""
        with self._lock:
            secrets = self._changeable(scope)["secrets"]
            existing = _found(secrets, key)
            if existing is None:
                raise _no_secret(scope, key)
            del secrets[existing]
            self._save()

    def secrets(self, scope: str) -> dict[str, int]:
        """The keys of a scope, and when each was set (milliseconds; 0 in a scope of the profile)."""
        with self._lock:
            of_profile = self._profiles(scope)
            if of_profile is not None:
                return dict.fromkeys(of_profile, 0)
            return {key: int(secret["updated"]) for key, secret in self._known(scope)["secrets"].items()}

    def value(self, scope: str, key: str) -> bytes:
        """A secret's value."""
        with self._lock:
            of_profile = self._profiles(scope)
            made = {} if of_profile is not None else self._known(scope)["secrets"]
            existing = _found(made if of_profile is None else of_profile, key)
            if existing is None:
                raise _no_secret(scope, key)
            if of_profile is not None:
                return of_profile[existing].get_secret_value().encode()
            return base64.b64decode(made[existing]["value"])

    def acls(self, scope: str) -> dict[str, str]:
        """Who has which permission on a scope. Here they are kept, and mean nothing: there is one user, an admin."""
        with self._lock:
            if self._profiles(scope) is not None:
                return {self._user: "MANAGE"}
            return dict(self._known(scope)["acls"])

    def put_acl(self, scope: str, principal: str, permission: str) -> None:
        """Give a principal a permission, in place of the one that it has."""
        if permission not in PERMISSIONS:
            raise invalid_parameter(f"Permission {permission} is none of {', '.join(PERMISSIONS)}.")
        if not principal:
            raise invalid_parameter("The principal must not be empty.")
        with self._lock:
            self._changeable(scope)["acls"][principal] = permission
            self._save()

    def delete_acl(self, scope: str, principal: str) -> None:
        """Take a principal's permission away."""
        with self._lock:
            if self._changeable(scope)["acls"].pop(principal, None) is None:
                raise does_not_exist(f"ACL of {principal} on scope {scope} does not exist!")
            self._save()

    def _profiles(self, scope: str) -> Mapping[str, SecretStr] | None:
        found = _found(self._of_profile, scope)
        return None if found is None else self._of_profile[found]

    def _known(self, scope: str) -> dict[str, Any]:
        found = _found(self._made, scope)
        if found is None:
            raise does_not_exist(f"Scope {scope} does not exist!")
        return self._made[found]

    def _changeable(self, scope: str) -> dict[str, Any]:
        if self._profiles(scope) is not None:
            # The code that Databricks has for its own internal scopes, and for those of an Azure Key Vault.
            raise ApiError(400, "BAD_REQUEST", f"Scope {scope} cannot be changed through the API: {_where(scope)}.")
        return self._known(scope)

    def _saved(self) -> dict[str, dict[str, Any]]:
        return dict(json.loads(self._file.read_bytes())) if self._file.exists() else {}

    def _save(self) -> None:
        """Whole or not at all, here and in the file, which a kill leaves as it was before or as it is after."""
        beside = self._file.with_suffix(".new")
        try:
            beside.unlink(missing_ok=True)
            with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
                json.dump(self._made, file)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._file)
        except OSError:
            self._made = self._saved()
            raise


def _found(names: Mapping[str, Any], name: str) -> str | None:
    """The name as it was given first."""
    return next((each for each in names if each.lower() == name.lower()), None)


def _where(scope: str) -> str:
    return f"it is in the profile (databricks.secrets.{scope}), where it is changed"


def _no_secret(scope: str, key: str) -> ApiError:
    return does_not_exist(f"Secret does not exist with scope: {scope} and key: {key}")


def _limit(message: str) -> ApiError:
    return ApiError(400, "RESOURCE_LIMIT_EXCEEDED", message)
