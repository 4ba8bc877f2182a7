"""Secret scopes through `databricks-sdk`, as a project's set-up or Terraform's provider makes them."""

from __future__ import annotations

import base64
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from databricks.sdk.errors import BadRequest, InvalidParameterValue, NotFound, ResourceAlreadyExists
from databricks.sdk.service.workspace import AclPermission, ScopeBackendType

from services.databricks.workspace.secret_scopes import MAX_SECRETS, SecretScopes
from tests.contract.workspace.conftest import Client, Service

VALUE = "canary-value-of-a-secret"
USER = "local@pinflow"
INVALID, MALFORMED = (400, "INVALID_PARAMETER_VALUE"), (400, "MALFORMED_REQUEST")


@pytest.fixture
def scope(client: Client) -> Iterator[str]:
    """An empty scope."""
    client.secrets.create_scope("project")
    yield "project"
    client.secrets.delete_scope("project")


def keys(client: Client, scope: str) -> list[str]:
    return [secret.key for secret in client.secrets.list_secrets(scope)]


def error(service: Service, call: str, **body: Any) -> tuple[int, str, str]:
    """Status, error code and message of a POST."""
    answer = service.call("POST", f"/api/2.0/secrets/{call}", json=body)
    return answer.status_code, answer.json()["error_code"], answer.json()["message"]


def test_a_scope_is_made_filled_listed_and_deleted(client: Client) -> None:
    client.secrets.create_scope("made", scope_backend_type=ScopeBackendType.DATABRICKS)
    client.secrets.put_secret("made", "password", string_value="first")
    client.secrets.put_secret("made", "password", string_value=VALUE)
    client.secrets.put_secret("made", "certificate", bytes_value=base64.b64encode(b"\xff\x00").decode())
    assert [(s.name, s.backend_type) for s in client.secrets.list_scopes()] == [
        ("keys", ScopeBackendType.DATABRICKS),
        ("made", ScopeBackendType.DATABRICKS),
    ]
    listed = list(client.secrets.list_secrets("made"))
    assert [secret.key for secret in listed] == ["password", "certificate"]
    assert all(secret.last_updated_timestamp > 1_600_000_000_000 for secret in listed)
    client.secrets.delete_secret("made", "certificate")
    assert keys(client, "made") == ["password"]
    client.secrets.delete_scope("made")
    assert [each.name for each in client.secrets.list_scopes()] == ["keys"]


def test_a_value_is_read_by_who_has_the_token(client: Client, scope: str) -> None:
    client.secrets.put_secret(scope, "text", string_value="Zürich 🗝")
    client.secrets.put_secret(scope, "bytes", bytes_value=base64.b64encode(b"\xff\x00").decode())
    assert base64.b64decode(client.secrets.get_secret(scope, "text").value).decode() == "Zürich 🗝"
    assert client.dbutils.secrets.get(scope, "text") == "Zürich 🗝"
    assert client.dbutils.secrets.getBytes(scope, "bytes") == b"\xff\x00"
    assert client.dbutils.secrets.get("keys", "aws") == "hush-hush", "a scope of the profile too"


def test_names_are_found_whatever_their_case(client: Client, scope: str, service: Service) -> None:
    client.secrets.put_secret("PROJECT", "Password", string_value="first")
    client.secrets.put_secret(scope, "password", string_value="second")
    assert keys(client, "Project") == ["Password"]
    assert client.dbutils.secrets.get("Project", "PASSWORD") == "second"
    assert error(service, "scopes/create", scope="pRoject")[:2] == (400, "RESOURCE_ALREADY_EXISTS")


@pytest.mark.parametrize(
    "call, body, expected",
    [
        ("scopes/create", {"scope": "project"}, (400, "RESOURCE_ALREADY_EXISTS")),
        ("scopes/create", {"scope": "a b"}, INVALID),
        ("scopes/create", {"scope": "x" * 129}, INVALID),
        ("scopes/create", {"scope": ""}, INVALID),
        ("scopes/create", {}, INVALID),
        ("scopes/create", {"scope": "y", "initial_manage_principal": "admins"}, (400, "BAD_REQUEST")),
        ("scopes/create", {"scope": "y", "scope_backend_type": "AZURE_KEYVAULT"}, INVALID),
        ("scopes/delete", {"scope": "none"}, (404, "RESOURCE_DOES_NOT_EXIST")),
        ("put", {"scope": "none", "key": "k", "string_value": "v"}, (404, "RESOURCE_DOES_NOT_EXIST")),
        ("put", {"scope": "project", "key": "a b", "string_value": "v"}, INVALID),
        ("put", {"scope": "project", "key": "k" * 129, "string_value": "v"}, INVALID),
        ("put", {"scope": "project", "key": "k"}, MALFORMED),
        ("put", {"scope": "project", "key": "k", "string_value": "v", "bytes_value": "dg=="}, MALFORMED),
        ("put", {"scope": "project", "key": "k", "bytes_value": "no base64"}, INVALID),
        ("put", {"scope": "project", "key": "k", "string_value": "v" * (128 * 1024 + 1)}, INVALID),
        ("delete", {"scope": "project", "key": "none"}, (404, "RESOURCE_DOES_NOT_EXIST")),
        ("acls/put", {"scope": "project", "principal": "a", "permission": "OWN"}, INVALID),
        ("acls/delete", {"scope": "project", "principal": "nobody"}, (404, "RESOURCE_DOES_NOT_EXIST")),
    ],
)
def test_errors_have_databricks_codes(
    service: Service, scope: str, call: str, body: dict[str, Any], expected: tuple[int, str]
) -> None:
    assert error(service, call, **body)[:2] == expected


def test_a_value_may_have_128_kilobytes_and_names_128_characters(client: Client) -> None:
    name, key = "a-b_c.d@e" + "x" * 119, "k" * 128
    client.secrets.create_scope(name)
    client.secrets.put_secret(name, key, string_value="v" * (128 * 1024))
    assert keys(client, name) == [key]
    client.secrets.delete_scope(name)


def test_what_is_not_there_is_not_found(client: Client, scope: str) -> None:
    for call in (
        lambda: list(client.secrets.list_secrets("none")),
        lambda: client.secrets.get_secret(scope, "none"),
        lambda: client.secrets.get_secret("none", "none"),
        lambda: client.secrets.get_acl(scope, "nobody"),
    ):
        with pytest.raises(NotFound):
            call()


def test_acls_are_kept_as_terraforms_provider_puts_them(client: Client, scope: str) -> None:
    def acls() -> list[tuple[str, AclPermission]]:
        return [(acl.principal, acl.permission) for acl in client.secrets.list_acls(scope)]

    assert acls() == [(USER, AclPermission.MANAGE)], "of who made it"
    client.secrets.put_acl(scope, "data-scientists", AclPermission.READ)
    client.secrets.put_acl(scope, "data-scientists", AclPermission.WRITE)
    assert client.secrets.get_acl(scope, "data-scientists").permission == AclPermission.WRITE
    client.secrets.delete_acl(scope, "data-scientists")
    assert acls() == [(USER, AclPermission.MANAGE)]
    client.secrets.create_scope("for-all", initial_manage_principal="users")
    assert [acl.principal for acl in client.secrets.list_acls("for-all")] == ["users"]
    client.secrets.delete_scope("for-all")


def test_a_scope_of_the_profile_cannot_be_changed(client: Client) -> None:
    changes: tuple[Callable[[], Any], ...] = (
        lambda: client.secrets.delete_scope("keys"),
        lambda: client.secrets.put_secret("Keys", "aws", string_value="other"),
        lambda: client.secrets.delete_secret("keys", "aws"),
        lambda: client.secrets.put_acl("keys", "users", AclPermission.READ),
    )
    for change in changes:
        with pytest.raises(BadRequest, match=r"in the profile \(databricks\.secrets\.[Kk]eys\), where it is changed"):
            change()
    with pytest.raises(ResourceAlreadyExists, match="Scope keys already exists: it is in the profile"):
        client.secrets.create_scope("keys")
    assert client.dbutils.secrets.get("keys", "aws") == "hush-hush"


def test_secrets_outlive_a_kill_and_only_their_owner_may_read_them(own_service: Service) -> None:
    own_service.start()
    own_service.client.secrets.create_scope("project")
    own_service.client.secrets.put_secret("project", "password", string_value=VALUE)
    own_service.kill()
    holding = [
        f for f in own_service.home.rglob("*") if f.is_file() and base64.b64encode(VALUE.encode()) in f.read_bytes()
    ]
    assert [(file.name, stat.S_IMODE(file.stat().st_mode)) for file in holding] == [("secrets.json", 0o600)]
    assert stat.S_IMODE(own_service.home.stat().st_mode) == 0o700
    own_service.start()
    assert own_service.client.dbutils.secrets.get("project", "password") == VALUE


def test_no_value_shows_in_an_answer_or_the_log(service: Service, client: Client, scope: str) -> None:
    client.secrets.put_secret(scope, "password", string_value=VALUE)
    answers = [
        error(service, "put", scope=scope, key="a b", string_value=VALUE),
        error(service, "put", scope=scope, key="k", string_value=[VALUE]),
        error(service, "put", scope=scope, key="k", bytes_value=f"{VALUE}!"),
        error(service, "put", scope=scope, key="k", string_value=VALUE, bytes_value=VALUE),
    ]
    half = f'{{"scope": "{scope}", "key": "k", "string_value": "{VALUE}\\ud800"}}'
    answers.append((service.call("POST", "/api/2.0/secrets/put", data=half).status_code, "", ""))
    assert {status for status, _, _ in answers} == {400}
    assert VALUE not in str(answers) + service.call("GET", f"/api/2.0/secrets/list?scope={scope}").text
    assert VALUE not in (service.home.parent / "service.log").read_text()


def test_a_scope_holds_a_thousand_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scopes = SecretScopes(tmp_path / "secrets.json", {}, USER)
    scopes.create("project", USER)
    monkeypatch.setattr(scopes, "_save", lambda: None)
    for number in range(MAX_SECRETS):
        scopes.put("project", f"key{number}", b"")
    scopes.put("project", "key1", b"again")
    with pytest.raises(Exception, match="has 1000 secrets") as refused:
        scopes.put("project", "one-more", b"")
    assert getattr(refused.value, "error_code", "") == "RESOURCE_LIMIT_EXCEEDED"
    with pytest.raises(Exception, match="1000 secret scopes"):
        for number in range(MAX_SECRETS):
            scopes.create(f"scope{number}", USER)


def test_the_clients_own_errors_are_raised(client: Client, scope: str) -> None:
    with pytest.raises(InvalidParameterValue):
        client.secrets.create_scope("not a name")
    with pytest.raises(NotFound):
        client.secrets.delete_scope("none")
