"""databricks.yml, as far as it can be judged without Databricks' CLI.

Its keys beside those of the CLI's own schema (databricks/cli, bundle/schema/jsonschema.json, read in 2026); its jobs by
the classes of Databricks' SDK, which drop what they do not know; its values beside the profile and the notebooks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from databricks.sdk.service.jobs import JobSettings

from foundation.profile import ROOT, load

TEXT = (ROOT / "databricks.yml").read_text(encoding="utf-8")
BUNDLE: dict[str, Any] = yaml.safe_load(TEXT)
JOBS: dict[str, dict[str, Any]] = BUNDLE["resources"]["jobs"]
TOP = {"artifacts", "bundle", "experimental", "include", "permissions", "presets", "resources", "run_as", "scripts",
       "sync", "targets", "variables", "workspace"}  # fmt: skip
TARGET = {"artifacts", "bundle", "cluster_id", "default", "git", "mode", "permissions", "presets", "resources",
          "run_as", "sync", "variables", "workspace"}  # fmt: skip
WORKSPACE = {"artifact_path", "auth_type", "client_id", "file_path", "host", "profile", "resource_path", "root_path",
             "state_path"}  # fmt: skip


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for each in value.values():
            yield from texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts(each)
    elif isinstance(value, str):
        yield value


def test_there_are_no_keys_but_a_bundles() -> None:
    assert set(BUNDLE) <= TOP
    assert set(BUNDLE["bundle"]) <= {"name", "databricks_cli_version", "cluster_id", "deployment", "git", "uuid"}
    assert all(set(one) <= {"default", "description", "lookup", "type"} for one in BUNDLE["variables"].values())
    assert set(BUNDLE["sync"]) <= {"exclude", "include", "paths"}


def test_the_targets_are_local_and_aws() -> None:
    assert list(BUNDLE["targets"]) == ["local", "aws"]
    assert [target for target, one in BUNDLE["targets"].items() if one.get("default")] == ["local"]
    for target in BUNDLE["targets"].values():
        assert set(target) <= TARGET
        assert target["mode"] in ("development", "production")
        assert set(target["workspace"]) <= WORKSPACE
        # Databricks' CLI knows a workspace before it knows variables.
        assert "${var." not in target["workspace"].get("host", "")


@pytest.mark.parametrize("name", JOBS)
def test_a_job_holds_nothing_that_databricks_does_not_know(name: str) -> None:
    assert JobSettings.from_dict(JOBS[name]).as_dict() == JOBS[name]


def test_every_notebook_is_there_and_is_synced() -> None:
    paths = [task["notebook_task"]["notebook_path"] for job in JOBS.values() for task in job["tasks"]]
    assert all((ROOT / path).is_file() and path.startswith(f"{BUNDLE['sync']['paths'][0]}/") for path in paths)


def test_every_variable_that_is_named_is_declared() -> None:
    named = set(re.findall(r"\$\{var\.(\w+)\}", " ".join(texts(BUNDLE))))
    assert named == set(BUNDLE["variables"])


def test_by_default_it_is_the_local_profile() -> None:
    profile = load("local")
    given = {name: one["default"] for name, one in BUNDLE["variables"].items()}
    assert given == {
        "uid": profile.uid,
        "bucket": "user-${var.uid}-bucket",
        "region": profile.aws.region,
        "cluster_id": profile.databricks.cluster_id,
    }
    assert BUNDLE["targets"]["local"]["workspace"]["host"] == profile.databricks.host


def test_the_batch_loads_side_by_side_and_then_asks() -> None:
    after = {
        task["task_key"]: [one["task_key"] for one in task.get("depends_on", [])] for task in JOBS["batch"]["tasks"]
    }
    assert after == {
        "load_pin": [],
        "load_geo": [],
        "load_user": [],
        "questions": ["load_pin", "load_geo", "load_user"],
    }
