"""`bin/pinflow doctor` as a person or a script runs it: status, JSON, no secret, no traceback."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner

from foundation.errors import ProfileError
from foundation.profile import Profile
from pinflow import doctor
from pinflow.cli import cli
from pinflow.doctor.finding import failed, ok, warning
from tests.contract.doctor.conftest import Make

CANARY = "c4nary-S3cret"


def run(profile: Profile, *options: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli, ["--profile", str(profile.path), "doctor", *options])
    return result.exit_code, result.output


def hops(monkeypatch: pytest.MonkeyPatch, **checks: Any) -> None:
    monkeypatch.setattr(doctor, "HOPS", checks)


def test_the_status_is_0_when_nothing_failed(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    hops(monkeypatch, first=lambda profile: [ok("a look", "well")])
    status, output = run(make())
    assert (status, "no problems found" in output) == (0, True)


def test_a_warning_is_shown_and_is_no_failure(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    hops(monkeypatch, first=lambda profile: [warning("a look", "a trap", "a way round")])
    status, output = run(make())
    assert (status, "warning a look: a trap" in output, "→ a way round" in output) == (0, True, True)


def test_the_status_is_1_and_the_fix_is_said_when_something_failed(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    hops(monkeypatch, first=lambda profile: [failed("a [look]", "not there", "make it")])
    status, output = run(make())
    assert status == 1
    assert "a [look]: not there" in output
    assert "→ make it" in output


def test_json_has_each_finding_with_its_hop(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    hops(monkeypatch, first=lambda profile: [ok("a", "b")], second=lambda profile: [failed("c", "d", "e")])
    status, output = run(make(), "--json")
    assert (status, json.loads(output)) == (
        1,
        [
            {"state": "ok", "tried": "a", "found": "b", "fix": "", "hop": "first"},
            {"state": "failed", "tried": "c", "found": "d", "fix": "e", "hop": "second"},
        ],
    )


def test_one_hop_s_surprise_does_not_hide_the_others(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def surprised(profile: Profile) -> Any:
        raise KeyError("x")

    def unset(profile: Profile) -> Any:
        raise ProfileError("no token", "export one")

    hops(monkeypatch, first=surprised, second=unset, third=lambda profile: [ok("a", "b")])
    findings = doctor.walk(make())
    assert [finding.state for finding in findings] == ["failed", "failed", "ok"]
    assert findings[1].fix == "export one"


def test_no_secret_is_shown_whatever_fails(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "DATABRICKS_TOKEN"):
        monkeypatch.setenv(f"PINFLOW_{name}", CANARY)
    monkeypatch.setenv("PINFLOW_TEST_API_KEY", CANARY)
    monkeypatch.setenv("PINFLOW_DATABASE_PASSWORD", CANARY)
    profile = make(
        api__api_key="${PINFLOW_TEST_API_KEY}",
        api__authorization="iam",
        database__url="mysql+pymysql://me@127.0.0.1:9/pinterest_data",
        database__password="${PINFLOW_DATABASE_PASSWORD}",
    )
    for options in ([], ["--json"]):
        status, output = run(profile, *options)
        assert status == 1
        assert CANARY not in output
