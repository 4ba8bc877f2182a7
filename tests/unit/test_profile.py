"""The profile: every mistake names the file, the key and what is expected; secrets never show."""

from __future__ import annotations

import copy
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from foundation.errors import ProfileError
from foundation.profile import ROOT, MskConnect, Profile, load

LOCAL: dict[str, Any] = yaml.safe_load((ROOT / "profiles" / "local.yaml").read_text(encoding="utf-8"))
CANARY = "c4nary-S3cret"
SECRETS = [
    ("aws", "access_key_id"), ("aws", "secret_access_key"), ("database", "password"), ("api", "api_key"),
    ("databricks", "token"),
]  # fmt: skip
# Profiles that were written before these keys came still load.
OPTIONAL = {
    ("api", "authorization"), ("api", "api_key"), ("kafka", "security"), ("kafka", "role_arn"),
    ("kafka", "cluster_arn"), ("kinesis", "shards"), ("connect", "msk"),
}  # fmt: skip
KEYS = [(section, key) for section, keys in LOCAL.items() if isinstance(keys, dict) for key in keys]
REQUIRED = [key for key in KEYS if key not in OPTIONAL]
SECTIONS = [section for section in LOCAL if section != "kinesis"]


def keys_of(document: Any, prefix: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    if not isinstance(document, dict):
        return {prefix}
    return set().union(*(keys_of(value, (*prefix, key)) for key, value in document.items()))


class Draft:
    """A copy of local.yaml with changes, as a file."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "draft.yaml"
        self.document = copy.deepcopy(LOCAL)

    def set(self, dotted: str, value: Any) -> Draft:
        *sections, key = dotted.split(".")
        target = self.document
        for section in sections:
            target = target[section]
        target[key] = value
        return self

    def load(self) -> Profile:
        self.path.write_text(yaml.safe_dump(self.document), encoding="utf-8")
        return load(str(self.path))

    def error(self) -> str:
        with pytest.raises(ProfileError) as caught:
            self.load()
        return str(caught.value)


@pytest.fixture
def draft(tmp_path: Path) -> Draft:
    return Draft(tmp_path)


def test_the_local_profile_loads_and_uid_is_filled_in() -> None:
    profile = load("local")
    assert profile.topics == ("0a1b2c3d4e5f.pin", "0a1b2c3d4e5f.geo", "0a1b2c3d4e5f.user")
    assert profile.storage.bucket == "user-0a1b2c3d4e5f-bucket"
    assert profile.connect.connector == "user-0a1b2c3d4e5f-s3-sink"
    assert profile.path == ROOT / "profiles" / "local.yaml"
    assert profile.home == ROOT / ".pinflow" / "local"


def test_a_profile_without_the_newer_section_has_streams_on_demand(draft: Draft) -> None:
    del draft.document["kinesis"]
    assert draft.load().kinesis.shards is None


def test_the_aws_example_has_the_same_keys_as_local() -> None:
    example = yaml.safe_load((ROOT / "profiles" / "aws.example.yaml").read_text(encoding="utf-8"))
    assert example["stack"] is None
    # Each has what the other leaves null.
    assert {*example["connect"].pop("msk")} == {*MskConnect.model_fields}
    assert LOCAL["connect"]["msk"] is None
    assert keys_of({**example, "stack": LOCAL["stack"]}) == keys_of(LOCAL) - {("connect", "msk")}


def test_the_aws_example_loads_once_its_variables_are_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PINTEREST_DB_PASSWORD", CANARY)
    profile = load("aws.example")
    assert profile.database.engine_url.password == CANARY
    with pytest.raises(ProfileError, match="stack is null"):
        _ = profile.home


def test_every_key_of_the_aws_example_has_a_comment() -> None:
    lines = (ROOT / "profiles" / "aws.example.yaml").read_text(encoding="utf-8").splitlines()
    bare = [
        line for before, line in pairwise(lines) if re.match(r"\s*\w+: ", line) and not before.lstrip().startswith("#")
    ]
    assert bare == []


@pytest.mark.parametrize(("section", "key"), REQUIRED, ids=".".join)
def test_a_missing_key_is_named_with_what_is_expected(draft: Draft, section: str, key: str) -> None:
    del draft.document[section][key]
    error = draft.error()
    assert f"{draft.path}: {section}.{key}: key is missing" in error
    assert re.search(r"\(expected .+\)", error)


@pytest.mark.parametrize("section", SECTIONS)
def test_a_missing_section_is_named_with_what_is_expected(draft: Draft, section: str) -> None:
    del draft.document[section]
    error = draft.error()
    assert f"{draft.path}: {section}: key is missing" in error
    assert re.search(r"\(expected .+\)", error)


@pytest.mark.parametrize("section", ["", *(key for key, value in LOCAL.items() if isinstance(value, dict))])
def test_an_unknown_key_is_named_beside_the_known_ones(draft: Draft, section: str) -> None:
    key = f"{section}.regoin" if section else "regoin"
    error = draft.set(key, "x").error()
    assert f"{draft.path}: {key}: unknown key" in error
    known = draft.document[section] if section else draft.document
    assert all(name in error for name in known)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("uid", "not-hex", "12 hexadecimal digits"),
        ("uid", 123456789012, "12 hexadecimal digits"),
        ("uid", None, "12 hexadecimal digits"),
        ("aws", None, "a section with region, endpoint_url"),
        ("aws", ["x"], "a section with region, endpoint_url"),
        ("aws.region", 1, "str"),
        ("aws.endpoint_url", "localhost:4566", "http://"),
        ("api.invoke_url", "ftp://x", "http://"),
        ("api.invoke_url", "http://", "http://"),
        ("database.url", "pinterest", "mysql+pymysql://user@host:port/database"),
        ("database.url", 5, "str"),
        ("kafka.partitions", 0, "greater than or equal to 1"),
        ("kafka.partitions", "many", "int"),
        ("kafka.cluster_arn", "my-cluster", "an MSK cluster's ARN"),
        ("kinesis.shards", 0, "greater than or equal to 1"),
        ("spark.remote", "http://127.0.0.1:15002", "sc://"),
        ("spark.local_files", "everything", "scratch or all"),
        ("api.authorization", "cognito", "none or iam"),
        ("kafka.security", "scram", "plaintext or iam"),
        ("kafka.role_arn", "msk-role", "a role's ARN"),
        ("databricks.host", "dbc-1234", "http://"),
        ("stack.services", "kafka", "list"),
        ("stack.services", [1], "str"),
        ("stack.directory", 7, "path"),
        ("stack.dump", 7, "path"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_expected(draft: Draft, key: str, value: Any, expected: str) -> None:
    error = draft.set(key, value).error()
    assert f"{draft.path}: {key}" in error
    assert expected in error


def test_all_mistakes_are_told_at_once(draft: Draft) -> None:
    error = draft.set("uid", "x").set("api.invoke_url", "x").set("kafka.partitions", "x").error()
    assert all(key in error for key in ("uid", "api.invoke_url", "kafka.partitions"))


def test_a_profile_that_does_not_exist_names_the_known_ones() -> None:
    with pytest.raises(ProfileError, match=r"nowhere\.yaml does not exist\n.*local"):
        load("nowhere")


@pytest.mark.parametrize("text", ["- a list", "", "just text", "uid: [1, 2", "uid: {{", "\x00"])
def test_what_is_not_a_yaml_mapping_is_refused_with_the_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ProfileError, match=re.escape(str(path))):
        load(str(path))


def test_bytes_that_are_not_utf8_are_refused_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(b"uid: \xff\xfe")
    with pytest.raises(ProfileError, match=re.escape(str(path))):
        load(str(path))


# --- the environment --------------------------------------------------------------------------------------------------


def test_a_variable_that_is_not_set_is_named(draft: Draft, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PINFLOW_NO_SUCH", raising=False)
    error = draft.set("database.password", "${PINFLOW_NO_SUCH}").error()
    assert f"{draft.path}: database.password: the environment variable PINFLOW_NO_SUCH is not set" in error


def test_a_default_stands_in_for_a_variable_that_is_not_set(draft: Draft, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PINFLOW_REGION", raising=False)
    draft.set("aws.region", "${PINFLOW_REGION:-eu-west-1}")
    assert draft.load().aws.region == "eu-west-1"
    monkeypatch.setenv("PINFLOW_REGION", "eu-north-1")
    assert draft.load().aws.region == "eu-north-1"


def test_what_a_variable_holds_is_data_and_not_read_as_yaml_or_again(
    draft: Draft, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PINFLOW_DATABASE_PASSWORD", "p@ss: ${HOME} <uid> #/%41'\"")
    assert draft.load().database.engine_url.password == "p@ss: ${HOME} <uid> #/%41'\""


@pytest.mark.parametrize(
    "url",
    [
        *(
            "mysql+pymysql://u@h:3306/d",
            "mysql://h/d",
            "my_sql://h/d",
            "sqlite://",
            "sqlite:////a/b.db",
            "sqlite:///b c?x=1",
        ),
        *("mysql+pymysql://u@[::1]:3306/d?charset=utf8", "mysql+pymysql:/u@h/d", "://h", "h:3306/d", "mysql://h:abc/d"),
        *("sqlite:///b c?x=1", "mysql://u@h/d@e", "mysql://h/d?x=@"),
    ],
)
def test_the_database_s_url_is_what_sqlalchemy_takes(draft: Draft, url: str) -> None:
    try:
        expected = make_url(url)
    except (ArgumentError, ValueError):
        assert "expected a SQLAlchemy URL" in draft.set("database.url", url).error()
    else:
        assert draft.set("database.url", url).load().database.engine_url._replace(password=None) == expected


@pytest.mark.parametrize(
    "url", ["mysql+pymysql://me:{}@h/db", "mysql+pymysql://me:a/{}@h/db", "mysql://h/db?password={}"]
)
def test_a_password_in_the_database_s_url_is_refused_wherever_it_came_from(
    draft: Draft, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    secret = url.format(CANARY)
    written = draft.set("database.url", secret).error()
    monkeypatch.setenv("PINFLOW_URL", secret)
    from_environment = draft.set("database.url", "${PINFLOW_URL}").error()
    for error in (written, from_environment):
        assert f"{draft.path}: database.url: " in error
        assert "database.password" in error
        assert CANARY not in error


@pytest.fixture
def no_databricks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No trace of Databricks in the environment; the path of the configuration file, which is not there."""
    for name in ("HOST", "TOKEN", "CONFIG_PROFILE"):
        monkeypatch.delenv(f"DATABRICKS_{name}", raising=False)
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "databrickscfg"))
    return tmp_path / "databrickscfg"


def test_databricks_host_and_token_come_from_the_environment_where_they_are_null(
    draft: Draft, no_databricks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABRICKS_HOST", "https://dbc-1.example/")
    monkeypatch.setenv("DATABRICKS_TOKEN", CANARY)
    databricks = draft.set("databricks.host", None).set("databricks.token", None).load().databricks
    assert (databricks.host, databricks.token.get_secret_value()) == ("https://dbc-1.example", CANARY)
    assert CANARY not in repr(databricks)


def test_then_from_the_section_of_databrickscfg(
    draft: Draft, no_databricks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_databricks.write_text("[DEFAULT]\nhost = https://a.example\ntoken = x%y\n[work]\nhost = https://b.example\n")
    databricks = draft.set("databricks.host", None).set("databricks.token", None).load().databricks
    assert (databricks.host, databricks.token.get_secret_value()) == ("https://a.example", "x%y")
    monkeypatch.setenv("DATABRICKS_CONFIG_PROFILE", "work")
    assert databricks.host == "https://b.example"


def test_a_token_that_is_nowhere_is_said_when_it_is_needed(draft: Draft, no_databricks: Path) -> None:
    profile = draft.set("databricks.token", None).load()
    with pytest.raises(ProfileError, match=r"DATABRICKS_TOKEN is not set(?s:.*)databricks configure"):
        _ = profile.databricks.token


def test_a_broken_databrickscfg_is_named_and_not_quoted(draft: Draft, no_databricks: Path) -> None:
    no_databricks.write_text(f"token {CANARY}\n")
    profile = draft.set("databricks.token", None).load()
    with pytest.raises(ProfileError, match=re.escape(str(no_databricks))) as caught:
        _ = profile.databricks.token
    assert CANARY not in str(caught.value)


# --- secrets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("section", "key"), SECRETS, ids=".".join)
@pytest.mark.parametrize("literal", [CANARY, f"{CANARY}${{HOME}}", 1234567])
def test_a_secret_that_stands_in_the_file_is_refused_and_not_repeated(
    draft: Draft, section: str, key: str, literal: Any
) -> None:
    error = draft.set(f"{section}.{key}", literal).error()
    assert f"{draft.path}: {section}.{key}: a profile must not contain a secret" in error
    assert str(literal) not in error


def test_a_value_of_a_scope_that_is_no_secret_may_stand_there_as_a_default(draft: Draft) -> None:
    """A region, a bucket: the refusal shows the form, and the form is taken."""
    refusal = draft.set("databricks.secrets", {"project": {"aws-region": "eu-west-1"}}).error()
    assert "a region, a bucket" in refusal and "${AWS_REGION:-value}" in refusal
    draft.set("databricks.secrets", {"project": {"aws-region": "${PINFLOW_TEST_REGION:-eu-west-1}"}})
    assert draft.load().databricks.secrets["project"]["aws-region"].get_secret_value() == "eu-west-1"


def test_a_secret_in_a_broken_file_is_not_repeated(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(f"database:\n  password: {CANARY}: [\n", encoding="utf-8")
    with pytest.raises(ProfileError) as caught:
        load(str(path))
    assert CANARY not in str(caught.value)
    assert "line 2" in str(caught.value)


def test_no_secret_shows_in_any_text_of_a_profile(draft: Draft, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PINFLOW_AWS_ACCESS_KEY_ID", "PINFLOW_AWS_SECRET_ACCESS_KEY", "PINFLOW_DATABASE_PASSWORD"):
        monkeypatch.setenv(name, CANARY)
    profile = draft.load()
    texts = [repr(profile), str(profile), profile.model_dump_json(), repr(profile.model_dump())]
    texts += [repr(section) + str(section) for section in (profile.aws, profile.database)]
    texts += [str(profile.database.engine_url), repr(profile.database.engine_url)]
    assert all(CANARY not in text for text in texts)
    assert profile.aws.secret_access_key is not None
    assert profile.aws.secret_access_key.get_secret_value() == CANARY


def test_no_secret_shows_in_the_errors_of_its_own_section(draft: Draft, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PINFLOW_DATABASE_PASSWORD", CANARY)
    monkeypatch.setenv("PINFLOW_AWS_SECRET_ACCESS_KEY", CANARY)
    error = draft.set("database.url", 7).set("aws.regoin", "x").set("aws.endpoint_url", "x").error()
    assert CANARY not in error


def test_a_profile_cannot_be_changed_by_whoever_holds_it() -> None:
    with pytest.raises(ValueError):
        load("local").kafka.partitions = 3


# --- one way in -------------------------------------------------------------------------------------------------------


def test_no_code_branches_on_the_profile_s_name() -> None:
    """What differs between here and AWS is a key of the profile, never `if name == "local"`."""
    name = re.compile(
        r"""(==|!=|\bin\b)\s*[\[({]?\s*["'](local|aws)(\.yaml)?["']|["'](local|aws)(\.yaml)?["']\s*(==|!=|\bin\b)"""
        r"""|path\.(stem|name)\s*(==|!=|\bin\b)\s*["']"""
    )
    folders = ("pinflow", "foundation", "emulator", "services", "spark", "airflow", "localstack")
    sources = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    branches = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in sources
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if name.search(line)
    ]
    assert sources
    assert branches == []
