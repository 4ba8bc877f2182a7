"""`make doctor` and `make deploy` on a whole stack: well as it is, and each hop broken in turn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from foundation.profile import load
from pinflow import doctor
from tests.stack import TestStack, in_containers

# What is changed in the profile, so that it no longer fits the stack, and the hops that must say so.
BROKEN: dict[str, tuple[dict[str, Any], set[str]]] = {
    "another endpoint": ({"aws.endpoint_url": "http://127.0.0.1:9"}, {"AWS credentials", "bucket", "streams"}),
    "no database": ({"database.url": "mysql+pymysql://pinflow@127.0.0.1:9/pinterest_data"}, {"database"}),
    "another stage": ({"api.invoke_url": "{}/_aws/execute-api/pinflow/prod"}, {"API"}),
    "another REST proxy": ({"rest_proxy.url": "http://127.0.0.1:9"}, {"REST proxy", "API's resources"}),
    "another user": ({"uid": "ffffffffffff"}, {"topics", "streams"}),
    "another connector": ({"connect.connector": "nobody"}, {"connector"}),
    "another bucket": ({"storage.bucket": "nobodys-bucket"}, {"bucket"}),
    "another cluster": ({"databricks.cluster_id": "0000-000000-nobody00"}, {"Databricks"}),
    "another environment": ({"airflow.environment": "nobody"}, {"Airflow"}),
}


def test_the_doctor_finds_the_stack_well(stack: TestStack) -> None:
    done = stack.pinflow("doctor", "--json", check=False)
    findings = json.loads(done.stdout)
    assert [one for one in findings if one["state"] == "failed"] == []
    assert done.returncode == 0
    assert {one["hop"] for one in findings} == set(doctor.HOPS) - {"MSK role"}


@pytest.mark.parametrize("name", BROKEN)
def test_a_hop_that_is_broken_is_named_with_its_fix(stack: TestStack, tmp_path: Path, name: str) -> None:
    changes, hops = BROKEN[name]
    if in_containers():
        # There the API reaches the REST proxy by its container's name, whatever address this machine has for it.
        hops = hops - {"API's resources"}
    document = yaml.safe_load(stack.profile.path.read_text(encoding="utf-8"))
    for dotted, value in changes.items():
        section, _, key = dotted.rpartition(".")
        (document[section] if section else document)[key] = value.format(document["aws"]["endpoint_url"])
    path = tmp_path / "broken.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    failed = [finding for finding in doctor.walk(load(str(path))) if finding.state == "failed"]
    assert hops <= {finding.hop for finding in failed}
    assert all(finding.fix for finding in failed)


def test_deploy_makes_workspace_and_airflow_as_the_repository_is_and_then_has_nothing_to_do(stack: TestStack) -> None:
    first = stack.pinflow("deploy", "--yes")
    assert "Airflow Variable pinterest_uid" in first.stdout
    again = stack.pinflow("deploy", "--dry-run")
    assert "nothing to deploy" in again.stderr
    assert again.stdout == ""
