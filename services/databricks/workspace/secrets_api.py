"""The Secrets API 2.0: https://docs.databricks.com/api/workspace/secrets."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import SecretStr

from services.databricks.workspace.errors import ApiError, does_not_exist, invalid_parameter, malformed
from services.databricks.workspace.parts import Parts, parts
from services.databricks.workspace.request import WITHOUT_EFFECT, Parameters, reading

router = APIRouter(prefix="/api/2.0/secrets")
Workspace = Annotated[Parts, Depends(parts)]


class Scope(Parameters):
    scope: str


class NewScope(Scope):
    initial_manage_principal: str | None = None
    scope_backend_type: str = "DATABRICKS"


class Key(Scope):
    key: str


class Value(Key):
    string_value: SecretStr | None = None
    bytes_value: SecretStr | None = None

    @property
    def data(self) -> bytes:
        """The value's bytes: of a text in UTF-8, of bytes from base64."""
        if self.string_value is not None and self.bytes_value is None:
            return self.string_value.get_secret_value().encode()
        if self.bytes_value is None or self.string_value is not None:
            raise malformed("Exactly one of string_value and bytes_value must be given.")
        try:
            return base64.b64decode(self.bytes_value.get_secret_value(), validate=True)
        except (ValueError, binascii.Error):
            raise invalid_parameter("bytes_value is not base64.") from None


class Principal(Scope):
    principal: str


class Acl(Principal):
    permission: str


@router.post("/scopes/create")
def create_scope(workspace: Workspace, asked: Annotated[NewScope, Depends(reading(NewScope))]) -> dict[str, Any]:
    if asked.scope_backend_type.upper() != "DATABRICKS":
        raise invalid_parameter(f"Scope backend type {asked.scope_backend_type} is not available in this workspace.")
    manager = asked.initial_manage_principal
    if manager not in (None, "users"):
        raise ApiError(400, "BAD_REQUEST", f"Cannot specify {manager} as initial_manage_principal.")
    workspace.secrets.create(asked.scope, manager or workspace.settings.user)
    return {}


@router.post("/scopes/delete")
def delete_scope(workspace: Workspace, asked: Annotated[Scope, Depends(reading(Scope))]) -> dict[str, Any]:
    workspace.secrets.delete(asked.scope)
    return {}


@router.get("/scopes/list")
def list_scopes(workspace: Workspace) -> dict[str, Any]:
    scopes = [{"name": name, "backend_type": "DATABRICKS"} for name in workspace.secrets.names()]
    return {"scopes": scopes} if scopes else {}


@router.post("/put")
def put_secret(workspace: Workspace, asked: Annotated[Value, Depends(reading(Value))]) -> dict[str, Any]:
    workspace.secrets.put(asked.scope, asked.key, asked.data)
    return {}


@router.post("/delete")
def delete_secret(workspace: Workspace, asked: Annotated[Key, Depends(reading(Key))]) -> dict[str, Any]:
    workspace.secrets.delete_secret(asked.scope, asked.key)
    return {}


@router.get("/list")
def list_secrets(workspace: Workspace, asked: Annotated[Scope, Depends(reading(Scope))]) -> dict[str, Any]:
    secrets = workspace.secrets.secrets(asked.scope)
    listed = [{"key": key, "last_updated_timestamp": updated} for key, updated in secrets.items()]
    return {"secrets": listed} if listed else {}


@router.get("/get")
def get_secret(workspace: Workspace, asked: Annotated[Key, Depends(reading(Key))]) -> dict[str, Any]:
    """For `dbutils.secrets`, also that of `databricks-sdk`: whoever has the token can run a notebook that reads it."""
    value = workspace.secrets.value(asked.scope, asked.key)
    return {"key": asked.key, "value": base64.b64encode(value).decode()}


@router.post("/acls/put", tags=[WITHOUT_EFFECT])
def put_acl(workspace: Workspace, asked: Annotated[Acl, Depends(reading(Acl))]) -> dict[str, Any]:
    workspace.secrets.put_acl(asked.scope, asked.principal, asked.permission)
    return {}


@router.post("/acls/delete", tags=[WITHOUT_EFFECT])
def delete_acl(workspace: Workspace, asked: Annotated[Principal, Depends(reading(Principal))]) -> dict[str, Any]:
    workspace.secrets.delete_acl(asked.scope, asked.principal)
    return {}


@router.get("/acls/get")
def get_acl(workspace: Workspace, asked: Annotated[Principal, Depends(reading(Principal))]) -> dict[str, Any]:
    permission = workspace.secrets.acls(asked.scope).get(asked.principal)
    if permission is None:
        raise does_not_exist(f"ACL of {asked.principal} on scope {asked.scope} does not exist!")
    return {"principal": asked.principal, "permission": permission}


@router.get("/acls/list")
def list_acls(workspace: Workspace, asked: Annotated[Scope, Depends(reading(Scope))]) -> dict[str, Any]:
    acls = workspace.secrets.acls(asked.scope)
    return {"items": [{"principal": name, "permission": permission} for name, permission in acls.items()]}
