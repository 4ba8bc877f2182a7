"""The profile: the only place that says whether the pipeline runs on this machine or on AWS.

>>> load("local").kafka.bootstrap_servers
'127.0.0.1:9092'
"""

from __future__ import annotations

import configparser
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import parse_qs, urlsplit

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError
from yaml.constructor import ConstructorError
from yaml.reader import ReaderError

from foundation.errors import ProfileError
from foundation.paths import ROOT as ROOT
from foundation.registry import TABLES
from foundation.versions import AIRFLOW

if TYPE_CHECKING:
    # SQLAlchemy takes half a second of CPU to import, which every command and every start of a service would pay.
    from sqlalchemy.engine import URL

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
# What is in .pinflow beside the stacks' directories: what is installed (pinflow/install.py, services/mysql/server.py,
# tests/compose/engine.py), and the links to stacks elsewhere (pinflow/stack/supervision.py).
_PACKAGES = {"engine", "envs", "ivy", "jars", "mariadb", "pythons", "stacks"}
_ROLE = r"^arn:[^:]+:iam::\d{12}:role/.+"
_CLUSTER = r"^arn:[^:]+:kafka:[^:]+:\d{12}:cluster/.+"
# Keys whose value must come from the environment: a literal would end up in version control.
_SECRET_KEYS = {"password", "access_key_id", "secret_access_key", "token", "api_key"}


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _http_url(value: str) -> str:
    if urlsplit(value).scheme not in ("http", "https") or not urlsplit(value).hostname:
        raise ValueError("expected a URL such as http://127.0.0.1:8082")
    return value.rstrip("/")


def _database_url(value: str) -> str:
    """What SQLAlchemy reads as a URL, without SQLAlchemy; the password may hold any character but @."""
    parts = re.fullmatch(r"[\w+]+://(?:[^:/@]*(:[^@]*)?@)?(.*)", value, re.DOTALL)
    try:
        if not parts:
            raise ValueError
        url = urlsplit(f"//{parts[2]}")
        _ = url.port  # raises where that is no port
    except ValueError:  # its text repeats the URL, which may contain a password
        raise ValueError("expected a SQLAlchemy URL such as mysql+pymysql://user@host:port/database") from None
    if parts[1] or {"password", "passwd"} & set(parse_qs(url.query, keep_blank_values=True)):
        raise ValueError("a URL must not contain a password: use database.password")
    return value


HttpUrl = Annotated[str, AfterValidator(_http_url)]
DatabaseUrl = Annotated[str, AfterValidator(_database_url)]


class Aws(_Section):
    """How boto3 reaches AWS. ``endpoint_url`` null is AWS itself; keys null is boto3's own credential chain."""

    region: str
    endpoint_url: HttpUrl | None
    access_key_id: SecretStr | None
    secret_access_key: SecretStr | None


class Database(_Section):
    """The source of the posts. ``url`` is a SQLAlchemy URL without a password."""

    url: DatabaseUrl
    password: SecretStr | None

    @property
    def engine_url(self) -> URL:
        """The URL with its password, for SQLAlchemy; ``str()`` of it masks the password."""
        from sqlalchemy.engine import make_url

        url = make_url(self.url)
        return url.set(password=self.password.get_secret_value()) if self.password else url


class Api(_Section):
    """The stage of the REST API in API Gateway, as its console shows it, and how it authenticates callers.

    ``authorization`` iam: requests are signed (SigV4) with the keys of `aws`. ``api_key``: of a usage plan.
    """

    invoke_url: HttpUrl
    authorization: Literal["none", "iam"] = Field(default="none", description="none or iam")
    api_key: SecretStr | None = None


class Kafka(_Section):
    """The cluster and the number of partitions of new topics.

    ``security`` iam: TLS and SASL with AWS_MSK_IAM; ``role_arn`` is the role that clients assume for it, if any.
    ``cluster_arn`` is the MSK cluster in which `aws-up` makes the topics, if it is to make them.
    """

    bootstrap_servers: str
    partitions: int = Field(ge=1)
    security: Literal["plaintext", "iam"] = Field(default="plaintext", description="plaintext or iam")
    role_arn: str | None = Field(default=None, pattern=_ROLE, description="a role's ARN")
    cluster_arn: str | None = Field(default=None, pattern=_CLUSTER, description="an MSK cluster's ARN")


class Kinesis(_Section):
    """The number of shards of each new stream; null is on demand: Kinesis decides."""

    shards: int | None = Field(default=None, ge=1, description="a number of shards, or null for on demand")


class RestProxy(_Section):
    """Where API Gateway's `/{proxy+}` forwards to."""

    url: HttpUrl


class MskConnect(_Section):
    """What a connector of MSK Connect needs besides its configuration, by the names that the consoles show.

    ``subnets`` and ``security_groups`` are comma-separated ids; worker_configuration null is MSK Connect's default.
    """

    plugin: str
    worker_configuration: str | None
    role_arn: str = Field(pattern=_ROLE, description="a role's ARN")
    subnets: str
    security_groups: str


class Connect(_Section):
    """Kafka Connect's REST API and the name of the S3 sink connector in it; or MSK Connect, which has no such API."""

    url: HttpUrl
    connector: str
    msk: MskConnect | None = None


class Storage(_Section):
    """The buckets: `bucket` holds the topics' objects, `dag_bucket` what Airflow reads."""

    bucket: str
    dag_bucket: str


class Spark(_Section):
    """The Spark Connect server, as `sc://host:port`.

    ``local_files``: where dbutils.fs may write and delete in `file:/`, which without containers is this machine's disk.
    scratch: below the temporary directory and stack.directory; all: wherever the user may.
    """

    remote: str = Field(pattern=r"^sc://[^:/]+:\d+")
    local_files: Literal["scratch", "all"] = Field(default="scratch", description="scratch or all")


class Databricks(_Section):
    """The workspace: its URL, a personal access token, the cluster that runs are sent to.

    ``secrets`` are the local secret scopes of `dbutils.secrets`: scope, key, value. A null host or token comes from
    where Databricks' own tools look: DATABRICKS_HOST and DATABRICKS_TOKEN, then ~/.databrickscfg.
    """

    given_host: HttpUrl | None = Field(alias="host")
    given_token: SecretStr | None = Field(alias="token")
    cluster_id: str
    secrets: dict[str, dict[str, SecretStr]]

    @property
    def host(self) -> str:
        """The workspace's URL; raises ProfileError if it is nowhere to be found."""
        return self.given_host or _http_url(_databricks("host"))

    @property
    def token(self) -> SecretStr:
        """The token; raises ProfileError if it is nowhere to be found."""
        return self.given_token or SecretStr(_databricks("token"))


class Airflow(_Section):
    """The MWAA environment: its name, its version of Airflow, its UI, the endpoint of boto3's `mwaa` calls.

    ``endpoint_url`` null is AWS itself.
    """

    environment: str = Field(pattern=r"^[a-zA-Z][0-9a-zA-Z_-]{0,79}$", description="an MWAA environment's name")
    version: str = Field(pattern=f"^({'|'.join(map(re.escape, AIRFLOW))})$", description=" or ".join(AIRFLOW))
    url: HttpUrl
    endpoint_url: HttpUrl | None


class Stack(_Section):
    """What runs on this machine. ``directory`` holds all its state; ``dump``: a .sql file to load in place of seeds."""

    directory: Path
    services: list[str]
    dump: Path | None


class Profile(_Section):
    """One place for every address, name and setting that differs between one machine and AWS."""

    uid: str = Field(pattern=r"^[0-9a-f]{12}$", description="12 hexadecimal digits")
    aws: Aws
    database: Database
    api: Api
    kafka: Kafka
    kinesis: Kinesis = Kinesis()
    rest_proxy: RestProxy
    connect: Connect
    storage: Storage
    spark: Spark
    databricks: Databricks
    airflow: Airflow
    stack: Stack | None

    _path: Path = Path()

    @property
    def path(self) -> Path:
        """The file that this profile was read from."""
        return self._path

    @property
    def topics(self) -> tuple[str, ...]:
        """The Kafka topics, in the order of the registry's tables."""
        return tuple(table.topic(self.uid) for table in TABLES.values())

    @property
    def streams(self) -> tuple[str, ...]:
        """The Kinesis streams, in the order of the registry's tables."""
        return tuple(table.stream(self.uid) for table in TABLES.values())

    @property
    def home(self) -> Path:
        """The absolute directory of the local stack's state.

        Raises ProfileError if nothing runs locally, or if the directory is not dedicated to a stack.
        """
        if self.stack is None:
            raise ProfileError(
                f"{self.path}: stack is null: every service is managed elsewhere and nothing runs on this machine",
                "use PROFILE=local, or fill in `stack` as in profiles/local.yaml",
            )
        home = (ROOT / self.stack.directory).resolve()
        if not is_dedicated(home):
            raise ProfileError(
                f"{self.path}: stack.directory: {home} must be a dedicated directory: `make reset` empties it",
                "use a directory such as .pinflow/local, or one outside of this repository",
            )
        return home


def find(name: str) -> Path:
    """The file of a profile: a path that ends in .yaml, or a name that stands for profiles/<name>.yaml."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else ROOT / "profiles" / f"{name}.yaml"
    if not path.is_file():
        known = sorted(p.stem for p in (ROOT / "profiles").glob("*.yaml") if not p.stem.endswith(".example"))
        raise ProfileError(f"profile {name}: {path} does not exist", f"known profiles: {', '.join(known)}")
    return path.resolve()


def load(name: str) -> Profile:
    """Read a profile by name or path; raises ProfileError that names the file, the key and what is expected."""
    path = find(name)
    text = path.read_bytes()
    try:
        document = yaml.load(text.decode("utf-8"), _Loader)
        if not isinstance(document, dict):
            raise ProfileError(f"{path}: expected a mapping of sections (uid, aws, database, …)")
        document = _resolve(document, path, str(document.get("uid", "")), ())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ProfileError(f"{path}: not readable as YAML: {_syntax(error, text)}") from None
    except RecursionError:
        raise ProfileError(f"{path}: not readable as YAML: nested too deeply, or an alias contains itself") from None
    try:
        profile = Profile.model_validate(document)
    except ValidationError as error:
        raise ProfileError(_explain(error, path), "compare with profiles/local.yaml") from None
    profile._path = path
    return profile


def is_dedicated(home: Path) -> bool:
    """Whether a directory may hold a stack's state: outside of the repository, or in .pinflow next to the packages."""
    packages = (ROOT / ".pinflow").resolve()
    if home.is_relative_to(packages):
        return home != packages and home.relative_to(packages).parts[0] not in _PACKAGES
    return not home.is_relative_to(ROOT) and not ROOT.is_relative_to(home)


def _databricks(name: str) -> str:
    """DATABRICKS_HOST or DATABRICKS_TOKEN, or the same of ~/.databrickscfg's profile (DEFAULT)."""
    variable = f"DATABRICKS_{name.upper()}"
    file = Path(os.environ.get("DATABRICKS_CONFIG_FILE", "~/.databrickscfg")).expanduser()
    section = os.environ.get("DATABRICKS_CONFIG_PROFILE", "DEFAULT")
    configured = configparser.ConfigParser(interpolation=None)
    try:
        configured.read(file, encoding="utf-8")
        found = os.environ.get(variable) or configured.get(section, name, fallback="")
    except (
        configparser.Error,
        OSError,
        UnicodeDecodeError,
    ) as error:  # its text may quote a token
        raise ProfileError(
            f"{file}: cannot be read: {type(error).__name__}", f"fix the file, or export {variable}=…"
        ) from None
    if not found:
        raise ProfileError(
            f"databricks.{name} is null, {variable} is not set, and {file} has none in [{section}]",
            f"export {variable}=…, or run `databricks configure`",
        )
    return found


def _resolve(value: Any, path: Path, uid: str, keys: tuple[str, ...]) -> Any:
    """Fill in ${ENV_VAR}, ${ENV_VAR:-default} and <uid> in texts; values are data and never parsed again."""
    if isinstance(value, dict):
        return {k: _resolve(v, path, uid, (*keys, str(k))) for k, v in value.items()}
    if isinstance(value, list):
        return [_resolve(v, path, uid, (*keys, str(i))) for i, v in enumerate(value)]
    where = f"{path}: {'.'.join(keys)}"
    secret = keys[-1:] and (keys[-1] in _SECRET_KEYS or keys[:2] == ("databricks", "secrets"))
    if secret and value is not None and not _VARIABLE.fullmatch(str(value)):
        variable = re.sub(r"\W", "_", keys[-1].upper())
        fix = f"write ${{{variable}}} and set that variable"
        if keys[:2] == ("databricks", "secrets"):
            fix += f"; a value that is not secret (a region, a bucket) may be written as ${{{variable}:-value}}"
        raise ProfileError(f"{where}: a profile must not contain a secret", fix)
    if not isinstance(value, str):
        return value

    def from_environment(match: re.Match[str]) -> str:
        name, default = match.group(1), match.group(2)
        found = os.environ.get(name, default)
        if found is None:
            raise ProfileError(f"{where}: the environment variable {name} is not set", f"export {name}=…")
        return found

    return _VARIABLE.sub(from_environment, value.replace("<uid>", uid))


class _Loader(yaml.SafeLoader):
    """Reports the position of a value that PyYAML takes for a date or number but cannot read."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError):
            kind = node.tag.rpartition(":")[2]
            raise ConstructorError(None, None, f"not a readable {kind}: quote it", node.start_mark) from None


def _syntax(error: yaml.YAMLError | UnicodeDecodeError, text: bytes) -> str:
    """Position and problem without the line itself, which PyYAML would quote: it may contain a secret."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        return f"line {error.problem_mark.line + 1}, column {error.problem_mark.column + 1}: {error.problem}"
    if isinstance(error, UnicodeDecodeError):
        return f"{_line(text[: error.start].decode())}: not UTF-8: {error.reason}"
    if isinstance(error, ReaderError):  # its position counts characters
        return f"{_line(text.decode()[: error.position])}: {error.reason}"
    return ""


def _line(before: str) -> str:
    return f"line {before.count(chr(10)) + 1}"


def _explain(error: ValidationError, path: Path) -> str:
    lines = []
    for problem in error.errors(include_input=False, include_url=False):
        key = ".".join(str(part) for part in problem["loc"])
        what = {"extra_forbidden": "unknown key", "missing": "key is missing"}.get(problem["type"], problem["msg"])
        field = _field(problem["loc"])
        lines.append(f"{path}: {key}: {what}" + (f" (expected {field})" if field else ""))
    return "\n".join(lines)


def _field(loc: tuple[int | str, ...]) -> str:
    """The expected value of a key, as text; for an unknown key, the keys of its section."""
    model: Any = Profile
    for part in loc:
        fields = _fields(model)
        if not isinstance(part, str) or part not in fields:
            return f"one of: {', '.join(fields)}" if fields else ""
        annotation = fields[part].annotation
        described = fields[part].description
        options = [a for a in (annotation, *getattr(annotation, "__args__", ())) if isinstance(a, type)]
        model = next((a for a in options if issubclass(a, BaseModel)), annotation)
        if model is annotation and not hasattr(model, "model_fields"):
            return described or " or ".join("null" if a is type(None) else a.__name__ for a in options if a is not list)
    return f"a section with {', '.join(_fields(model))}"


def _fields(model: Any) -> dict[str, Any]:
    """A section's fields by their names in the file; empty if it is not a section."""
    return {field.alias or name: field for name, field in getattr(model, "model_fields", {}).items()}
