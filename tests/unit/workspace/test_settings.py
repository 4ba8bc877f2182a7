"""The workspace's settings from its arguments and its environment."""

from __future__ import annotations

import pytest

from services.databricks.workspace.settings import CONTROL_TOKEN, SECRETS, TOKEN, Settings, from_arguments

ARGUMENTS = [
    *("--home", "/state", "--url", "http://127.0.0.1:8180", "--cluster-id", "0000-000000-pinflow0"),
    *("--remote", "sc://127.0.0.1:15002", "--control-url", "http://127.0.0.1:15003"),
    *("--", "python", "-m", "services.databricks.notebook"),
]


def read(environment: dict[str, str]) -> Settings:
    return from_arguments(ARGUMENTS, environment)


def test_secrets_are_taken_out_of_the_environment() -> None:
    environment = {TOKEN: "t", CONTROL_TOKEN: "c", SECRETS: '{"aws": {"key": "k"}}', "HOME": "/root"}
    settings = read(environment)
    assert environment == {"HOME": "/root"}
    assert settings.token.get_secret_value() == "t"
    assert settings.secrets["aws"]["key"].get_secret_value() == "k"


def test_secrets_do_not_show() -> None:
    assert "hush" not in repr(read({TOKEN: "hush", CONTROL_TOKEN: "hush", SECRETS: '{"aws": {"key": "hush"}}'}))


def test_the_command_comes_after_two_dashes() -> None:
    settings = read({TOKEN: "t", CONTROL_TOKEN: "c"})
    assert settings.notebook_command == ("python", "-m", "services.databricks.notebook")
    assert (settings.port, settings.listen) == (8180, "127.0.0.1")


def test_what_is_no_number_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        from_arguments(["--max-processes", "many", *ARGUMENTS], {TOKEN: "t", CONTROL_TOKEN: "c"})
    assert "argument --max-processes: invalid int value: 'many'" in capsys.readouterr().err


def test_a_missing_token_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read({CONTROL_TOKEN: "c"})
    assert TOKEN in capsys.readouterr().err
