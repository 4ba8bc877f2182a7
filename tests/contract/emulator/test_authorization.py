"""How API Gateway knows the emulator, and what is asked before posts leave this machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import pytest
import yaml
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials, ReadOnlyCredentials
from botocore.exceptions import UnauthorizedSSOTokenError
from click.testing import CliRunner

from emulator.__main__ import main
from emulator.authorization import authorization
from emulator.guard import confirm
from emulator.posting import Plan
from foundation.errors import PinflowError
from foundation.profile import ROOT, Profile, load
from tests.contract.emulator.command import Command
from tests.contract.emulator.far_end import FarEnd, Received, kinesis_error

KEY = "c4nary-api-key"


@pytest.fixture
def command(far_end: FarEnd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    # The profile's own secret, whatever the end-to-end tests of the same session have planted.
    monkeypatch.delenv("PINFLOW_AWS_SECRET_ACCESS_KEY", raising=False)
    return Command(tmp_path, far_end.url, rows=100, name="stream")


def change(command: Command, **api: Any) -> None:
    profile = yaml.safe_load(command.profile.read_text(encoding="utf-8"))
    profile["api"] |= api
    command.profile.write_text(yaml.safe_dump(profile), encoding="utf-8")


def remote(directory: Path) -> Profile:
    """A profile whose API is on another machine, which does not exist, and which nobody signs in to."""
    profile = yaml.safe_load((ROOT / "profiles" / "local.yaml").read_text(encoding="utf-8"))
    profile["api"]["invoke_url"] = "https://abc.execute-api.eu-west-1.amazonaws.invalid/dev"
    profile["aws"] |= {"region": "eu-west-1", "endpoint_url": "http://127.0.0.1:9"}
    path = directory / "remote.yaml"
    path.write_text(yaml.safe_dump(profile), encoding="utf-8")
    return load(str(path))


def signature(received: Received, url: str) -> str:
    """What AWS's own signer makes of the request as it arrived, at the time that it names."""
    headers = {"Content-Type": received.headers["Content-Type"], "X-Amz-Date": received.headers["X-Amz-Date"]}
    parts = urlsplit(url)
    request = AWSRequest(received.method, f"{parts.scheme}://{parts.netloc}{received.path}", headers, received.body)
    request.context["timestamp"] = received.headers["X-Amz-Date"]
    signer = SigV4Auth(Credentials("test", "test"), "execute-api", "us-east-1")
    canonical = signer.canonical_request(request)
    return str(signer.signature(signer.string_to_sign(request, canonical), request))


def test_without_authorization_nothing_is_signed(command: Command, far_end: FarEnd) -> None:
    command.summary("--count", "1")
    assert not {"Authorization", "x-api-key"} & set(far_end.received[0].headers)


def test_each_try_is_signed_as_aws_signs_it(command: Command, far_end: FarEnd) -> None:
    change(command, authorization="iam")
    far_end.replies.append(kinesis_error("ProvisionedThroughputExceededException"))
    _, summary = command.summary("--count", "2")
    assert summary["records"] == 6
    for received in far_end.received:
        header = received.headers["Authorization"]
        assert "/us-east-1/execute-api/aws4_request" in header
        assert header.endswith(f"Signature={signature(received, far_end.url)}")


def test_an_api_key_goes_along_and_into_no_output(
    command: Command, far_end: FarEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PINFLOW_TEST_API_KEY", KEY)
    change(command, api_key="${PINFLOW_TEST_API_KEY}")
    far_end.usual = kinesis_error("AccessDeniedException")
    status, output, errors = command.run("--count", "1")
    assert status == 1
    assert {received.headers["x-api-key"] for received in far_end.received} == {KEY}
    spilled = "".join(file.read_text() for file in (command.directory / "state" / "spill").iterdir())
    assert KEY not in output + errors + spilled


def test_no_credentials_to_sign_with_are_said_before_the_first_post(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("boto3.session.Session.get_credentials", lambda session: None)
    profile = remote(tmp_path)
    aws = profile.aws.model_copy(update={"access_key_id": None, "secret_access_key": None})
    api = profile.api.model_copy(update={"authorization": "iam"})
    with pytest.raises(PinflowError, match="no AWS credentials"):
        authorization(profile.model_copy(update={"aws": aws, "api": api}))


class Session(Credentials):
    """What a session gives; ``valid`` says of each time that it is asked whether it is still one, the last for good."""

    def __init__(self, valid: list[bool]) -> None:
        super().__init__("test", "test")
        self.valid = valid

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        if not (self.valid.pop(0) if len(self.valid) > 1 else self.valid[0]):
            raise UnauthorizedSSOTokenError
        return super().get_frozen_credentials()


Signs = Callable[..., list[str]]


@pytest.fixture
def signs(command: Command, monkeypatch: pytest.MonkeyPatch) -> Signs:
    """Makes the command's profile one that signs with such a session; the arguments that run it in this process."""

    def made(*valid: bool) -> list[str]:
        session = Session([*valid])
        monkeypatch.setattr("boto3.session.Session.get_credentials", lambda self: session)
        change(command, authorization="iam")
        profile = yaml.safe_load(command.profile.read_text(encoding="utf-8"))
        profile["aws"] |= {"access_key_id": None, "secret_access_key": None}
        command.profile.write_text(yaml.safe_dump(profile), encoding="utf-8")
        return ["stream", "--profile", str(command.profile), "--json", "--quiet", "--give-up-after", "0.5"]

    return made


def test_a_session_that_has_ended_is_said_before_the_first_post(signs: Signs, far_end: FarEnd) -> None:
    result = CliRunner().invoke(main, [*signs(False), "--count", "5"])
    assert (result.exit_code, far_end.received) == (1, [])
    assert "no credentials to sign with" in result.output
    assert "→ aws sso login" in result.output


def test_records_of_a_session_that_ends_meanwhile_are_tried_again_and_spilled(signs: Signs) -> None:
    arguments = signs(True, True, False)  # the look beforehand, and one request
    result = CliRunner().invoke(main, [*arguments, "--count", "5", "--batch-size", "1"])
    summary = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (summary["posts"], summary["records"], summary["failures"]) == (5, 1, 14)
    assert summary["retries"] > 0
    reasons = [json.loads(line)["reason"] for line in Path(summary["spill_file"]).read_text().splitlines()]
    assert len(reasons) == 14
    assert all("SSO session" in reason for reason in reasons)


def test_records_of_a_session_that_comes_back_are_delivered(signs: Signs, far_end: FarEnd) -> None:
    result = CliRunner().invoke(main, [*signs(True, False, True), "--count", "1"])
    summary = json.loads(result.stdout)
    assert (result.exit_code, summary["records"], summary["retries"], len(far_end.received)) == (0, 3, 1, 3)


def test_posting_elsewhere_without_anybody_to_ask_needs_yes(tmp_path: Path) -> None:
    profile = remote(tmp_path)
    result = CliRunner().invoke(main, ["stream", "--profile", str(profile.path), "--count", "1"])
    assert result.exit_code == 1
    assert "pass --yes" in result.output
    for expected in ("eu-west-1", "abc.execute-api", "account unknown", "1 posts", "as fast as possible"):
        assert expected in result.output


@pytest.mark.parametrize(("answer", "posts"), [("y", True), ("n", False), ("", False)])
def test_a_person_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, posts: bool) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda prompt: answer)
    if posts:
        confirm(remote(tmp_path), Plan(count=0, rate=5.0))
    else:
        with pytest.raises(click.Abort):
            confirm(remote(tmp_path), Plan())


def test_on_this_machine_nobody_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    confirm(load("local"), Plan())
    assert json.dumps(capsys.readouterr().err) == '""'
