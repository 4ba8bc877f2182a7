"""The Secrets API 2.0: https://docs.databricks.com/api/workspace/secrets."""

from __future__ import annotations

import base64
from typing import Any

from pydantic import Field, SecretStr

from services.databricks.workspace.api import Api, Base64, Parameters
from services.databricks.workspace.errors import ApiError, does_not_exist, invalid_parameter, malformed
from services.databricks.workspace.workspace import Workspace

api = Api("/api/2.0/secrets")


class Scope(Parameters):
    scope: str


class NewScope(Scope):
    initial_manage_principal: str | None = None
    scope_backend_type: str = "DATABRICKS"


class Key(Scope):
    key: str


class Value(Key):
    string_value: SecretStr | None = None
    bytes_value: Base64 | None = Field(default=None, repr=False)


class Principal(Scope):
    principal: str


class Acl(Principal):
    permission: str


@api.post("/scopes/create")
def create_scope(workspace: Workspace, asked: NewScope) -> None:
    if asked.scope_backend_type.upper() != "DATABRICKS":
        raise invalid_parameter(f"Scope backend type {asked.scope_backend_type} is not available in this workspace.")
    manager = asked.initial_manage_principal
    if manager not in (None, "users"):
        raise ApiError(400, "BAD_REQUEST", f"Cannot specify {manager} as initial_manage_principal.")
    workspace.secrets.create(asked.scope, manager or workspace.settings.user)


@api.post("/scopes/delete")
def delete_scope(workspace: Workspace, asked: Scope) -> None:
    workspace.secrets.delete(asked.scope)


@api.get("/scopes/list")
def list_scopes(workspace: Workspace, asked: Parameters) -> dict[str, Any]:
    scopes = [{"name": name, "backend_type": "DATABRICKS"} for name in workspace.secrets.names()]
    return {"scopes": scopes} if scopes else {}


@api.post("/put")
def put_secret(workspace: Workspace, asked: Value) -> None:
    if (asked.string_value is None) == (asked.bytes_value is None):
        raise malformed("Exactly one of string_value and bytes_value is required.")
    text = asked.string_value.get_secret_value().encode() if asked.string_value else b""
    workspace.secrets.put(asked.scope, asked.key, text if asked.bytes_value is None else asked.bytes_value)


@api.post("/delete")
def delete_secret(workspace: Workspace, asked: Key) -> None:
    workspace.secrets.delete_secret(asked.scope, asked.key)


@api.get("/list")
def list_secrets(workspace: Workspace, asked: Scope) -> dict[str, Any]:
    secrets = workspace.secrets.secrets(asked.scope)
    listed = [{"key": key, "last_updated_timestamp": updated} for key, updated in secrets.items()]
    return {"secrets": listed} if listed else {}


@api.get("/get")
def get_secret(workspace: Workspace, asked: Key) -> dict[str, Any]:
    """For `dbutils.secrets`, also that of `databricks-sdk`: with the token you can run a notebook that reads it."""
    value = workspace.secrets.value(asked.scope, asked.key)
    return {"key": asked.key, "value": base64.b64encode(value).decode()}


@api.post("/acls/put", without_effect=True)
def put_acl(workspace: Workspace, asked: Acl) -> None:
    workspace.secrets.put_acl(asked.scope, asked.principal, asked.permission)


@api.post("/acls/delete", without_effect=True)
def delete_acl(workspace: Workspace, asked: Principal) -> None:
    workspace.secrets.delete_acl(asked.scope, asked.principal)


@api.get("/acls/get")
def get_acl(workspace: Workspace, asked: Principal) -> dict[str, Any]:
    permission = workspace.secrets.acls(asked.scope).get(asked.principal)
    if permission is None:
        raise does_not_exist(f"ACL of {asked.principal} on scope {asked.scope} does not exist!")
    return {"principal": asked.principal, "permission": permission}


@api.get("/acls/list")
def list_acls(workspace: Workspace, asked: Scope) -> dict[str, Any]:
    acls = workspace.secrets.acls(asked.scope)
    return {"items": [{"principal": name, "permission": permission} for name, permission in acls.items()]}
