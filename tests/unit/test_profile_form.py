"""`bin/pinflow profile init` and `show`."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from foundation.profile import ROOT, load
from pinflow.cli import cli
from pinflow.profile_form import Question, fill_in, init, questions, shown

EXAMPLE = ROOT / "profiles" / "aws.example.yaml"
CANARY = "c4nary-S3cret"


class Person:
    """Answers by key, in turn where there are several; presses Enter for all else."""

    def __init__(self, **answers: list[str]) -> None:
        self.answers = {key.replace("__", "."): list(values) for key, values in answers.items()}
        self.asked: list[str] = []
        self.told: list[str] = []

    def ask(self, question: Question, now: str) -> str:
        self.asked.append(question.key)
        return self.answers[question.key].pop(0) if self.answers.get(question.key) else now

    def fill_in(self, target: Path) -> list[tuple[str, str]]:
        return init(EXAMPLE, target, self.ask, self.told.append)


def test_every_value_of_the_example_is_asked_for_with_its_comment_but_no_secret() -> None:
    asked = {question.key: question.comment for question in questions(EXAMPLE.read_text(encoding="utf-8"))}
    assert {"uid", "aws.region", "api.invoke_url", "kafka.role_arn", "databricks.cluster_id", "airflow.url"} <= set(
        asked
    )
    assert not {"aws.secret_access_key", "database.password", "databricks.token", "api.api_key", "stack"} & set(asked)
    assert not [key for key in asked if key.startswith("databricks.secrets")]
    assert 'API Gateway\'s console: Stages, your stage, "Invoke URL".' in asked["api.invoke_url"]


def test_enter_all_the_way_writes_the_example_as_it_is(tmp_path: Path) -> None:
    Person().fill_in(tmp_path / "aws.yaml")
    assert (tmp_path / "aws.yaml").read_text(encoding="utf-8") == EXAMPLE.read_text(encoding="utf-8")


def test_answers_land_at_their_keys_and_comments_stay(tmp_path: Path) -> None:
    person = Person(uid=["123456789012"], aws__region=["eu-west-1"], kafka__partitions=["3"], kafka__role_arn=["null"],
                    storage__bucket=["a: # bucket"])  # fmt: skip
    person.fill_in(tmp_path / "aws.yaml")
    text = (tmp_path / "aws.yaml").read_text(encoding="utf-8")
    written = yaml.safe_load(text)
    assert (written["uid"], written["aws"]["region"], written["kafka"]["partitions"]) == (
        "123456789012",
        "eu-west-1",
        3,
    )
    assert (written["kafka"]["role_arn"], written["storage"]["bucket"]) == (None, "a: # bucket")
    assert text.count("#") == EXAMPLE.read_text(encoding="utf-8").count("#") + 1


def test_a_wrong_answer_is_said_and_asked_for_again_and_nothing_else(tmp_path: Path) -> None:
    person = Person(uid=["nonsense", "0123456789ab"], kafka__partitions=["many", "2"])
    person.fill_in(tmp_path / "aws.yaml")
    assert sorted(key for key in person.asked if person.asked.count(key) > 1) == sorted(["uid", "kafka.partitions"] * 2)
    assert any("uid" in text and "12 hexadecimal digits" in text for text in person.told)
    assert [path.name for path in tmp_path.iterdir()] == ["aws.yaml"]


def test_a_profile_that_is_there_is_what_enter_keeps(tmp_path: Path) -> None:
    target = tmp_path / "aws.yaml"
    Person(aws__region=["eu-west-1"]).fill_in(target)
    Person(uid=["0123456789ab"]).fill_in(target)
    written = yaml.safe_load(target.read_text(encoding="utf-8"))
    assert (written["aws"]["region"], written["uid"]) == ("eu-west-1", "0123456789ab")


def test_secrets_that_are_not_set_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PINTEREST_DB_PASSWORD", raising=False)
    assert Person().fill_in(tmp_path / "aws.yaml") == [("PINTEREST_DB_PASSWORD", "database.password")]
    monkeypatch.setenv("PINTEREST_DB_PASSWORD", CANARY)
    assert Person().fill_in(tmp_path / "aws.yaml") == []
    assert CANARY not in (tmp_path / "aws.yaml").read_text(encoding="utf-8")


def test_filling_in_changes_only_what_was_answered() -> None:
    text = "a:\n  # what\n  b: 1\n  c: x\n"
    assert fill_in(text, {"a.c": "y z"}) == "a:\n  # what\n  b: 1\n  c: y z\n"


def test_a_profile_is_shown_resolved_and_without_its_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "DATABASE_PASSWORD", "DATABRICKS_TOKEN"):
        monkeypatch.setenv(f"PINFLOW_{name}", CANARY)
    result = CliRunner().invoke(cli, ["--profile", "local", "profile", "show"])
    assert result.exit_code == 0
    assert CANARY not in result.output
    document = yaml.safe_load(result.output)
    assert document["storage"]["bucket"] == "user-0a1b2c3d4e5f-bucket"
    assert set(document["databricks"]["token"]) == {"*"}
    assert set(document) == set(yaml.safe_load((ROOT / "profiles" / "local.yaml").read_text(encoding="utf-8")))


def test_where_credentials_come_from_is_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PINTEREST_DB_PASSWORD", CANARY)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", CANARY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", CANARY)
    monkeypatch.setenv("DATABRICKS_TOKEN", CANARY)
    text = shown(load("aws.example"))
    assert "AWS credentials: boto3's chain: env" in text
    assert "token: '**********'" in text
    assert CANARY not in text


@pytest.mark.parametrize("name", ["local", "not a name", "../x"])
def test_a_name_that_cannot_be_taken_is_refused(name: str) -> None:
    result = CliRunner().invoke(cli, ["profile", "init", name])
    assert result.exit_code == 1
    assert "is not a possible name" in str(result.exception)
