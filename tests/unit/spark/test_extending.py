"""docs/extending.md: its changes are made to a copy of the project, which then has a fourth table and a ninth question.

The copy runs in processes of its own: the seed, the emulator and the oracle in the tool environment, the batch in this
one.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.emulator.far_end import FarEnd

ROOT = Path(__file__).parents[3]
TOOL = ROOT / ".pinflow" / "envs" / "tool" / "bin" / "python"
UID = "0a1b2c3d4e5f"
POSTS = 200
TABLES = {"pin", "geo", "user", "board"}
QUESTIONS = {"q1", "q2", "q2b", "q3a", "q3b", "q4", "q5", "q6", "q7", "q8", "q9"}

pytestmark = pytest.mark.skipif(not TOOL.is_file(), reason="the tool environment is not installed")

SEED = f"""
import json, sys
from pathlib import Path
from sqlalchemy import create_engine, text
from emulator.encoding import encode
from foundation.registry import TABLES
from services.mysql.seed import rows
from tests import oracle

directory = Path(sys.argv[1])
seed = {{name: found[:{POSTS}] for name, found in rows().items()}}
with create_engine(f"sqlite:///{{directory / 'posts.db'}}").begin() as connection:
    for name, table in TABLES.items():
        columns = ", ".join(f"`{{column}}` {{kind.mysql_type}}" for column, kind in table.columns.items())
        connection.execute(text(f"CREATE TABLE {{table.source}} ({{columns}})"))
        places = ", ".join(f":{{column}}" for column in table.columns)
        posts = [dict(zip(table.columns, row, strict=True)) for row in seed[name]]
        connection.execute(text(f"INSERT INTO {{table.source}} VALUES ({{places}})"), posts)
        objects = directory / "topics" / table.topic("{UID}") / "partition=0"
        objects.mkdir(parents=True)
        (objects / "0000000000.json").write_bytes(b"\\n".join(map(encode, posts)))
expected = {{"tables": oracle.tables(*seed.values()), "answers": oracle.answers(*seed.values())}}
(directory / "expected.json").write_text(json.dumps(expected, default=str))
"""

BATCH = f"""
import json, sys
from pathlib import Path
from pyspark.sql import SparkSession
from pinterest.batch import answer, load
from pinterest.registry import TABLES

remote, directory = sys.argv[1], Path(sys.argv[2])
spark = SparkSession.builder.remote(remote).create()
loaded = [load(spark, "{UID}", name, str(directory / "topics")) for name in TABLES]
answers = {{name: found.rows for name, found in answer(spark, "{UID}").items()}}
rows = {{name: spark.table(f"`{UID}_{{name}}`").orderBy("ind").toArrow().to_pylist() for name in TABLES}}
tables = {{name: [list(row.values()) for row in found] for name, found in rows.items()}}
tables = {{name: [[v.replace(tzinfo=None) if hasattr(v, "tzinfo") else v for v in row] for row in found]
          for name, found in tables.items()}}
found = {{"tables": tables, "answers": answers, "quarantined": [one.quarantined for one in loaded]}}
(directory / "found.json").write_text(json.dumps(found, default=str))
spark.stop()
"""


def changes(page: str) -> Iterator[tuple[str, str, str]]:
    """Each block of the page: the file, the lines that it has, the lines that it gets."""
    for file, block in re.findall(r"^ *`([\w./]+)`\n\n *```diff\n(.*?)^ *```$", page, re.MULTILINE | re.DOTALL):
        lines = [line or " " for line in textwrap.dedent(block.replace("\n\n", "\n \n")).splitlines()]
        yield file, *("\n".join(line[1:] for line in lines if line[0] in kinds) for kinds in (" -", " +"))


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with the page's changes."""
    tree = tmp_path_factory.mktemp("extended") / "pinflow"
    shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".pinflow", ".git", "__pycache__", ".*_cache", "spill"))
    for file, before, after in changes((ROOT / "docs" / "extending.md").read_text(encoding="utf-8")):
        text = (tree / file).read_text(encoding="utf-8")
        assert text.count(before) == 1, f"{file} has these lines {text.count(before)} times:\n{before}"
        (tree / file).write_text(text.replace(before, after), encoding="utf-8")
    return tree


@pytest.fixture(scope="module")
def seeded(copy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the copy's first rows: as a database, as objects of the topics, and what to expect of them."""
    directory = tmp_path_factory.mktemp("rows")
    run(copy, TOOL, "-c", SEED, str(directory))
    return directory


def run(tree: Path, *command: str | Path, path: str = "") -> str:
    environment = os.environ | {"PYTHONPATH": f"{tree}{path}", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([*map(str, command)], cwd=tree, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_files_that_stand_alone_have_the_new_table(copy: Path) -> None:
    run(copy, TOOL, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/unit/test_registry.py")


def test_the_emulator_posts_the_new_table_too(seeded: Path, copy: Path) -> None:
    far_end = FarEnd()
    profile = (copy / "profiles" / "local.yaml").read_text(encoding="utf-8")
    for key, value in {
        "url: mysql+pymysql://pinflow@127.0.0.1:3306/pinterest_data": f"url: sqlite:///{seeded / 'posts.db'}",
        "password: ${PINFLOW_DATABASE_PASSWORD:-pinflow}": "password: null",
        "invoke_url: http://127.0.0.1:4566/_aws/execute-api/pinflow/dev": f"invoke_url: {far_end.url}",
        "directory: .pinflow/local": f"directory: {seeded / 'state'}",
    }.items():
        assert key in profile
        profile = profile.replace(key, value)
    (seeded / "test.yaml").write_text(profile, encoding="utf-8")
    try:
        run(copy, TOOL, "-m", "emulator", "batch", "--profile", seeded / "test.yaml", "--count", "20", "--quiet")
        run(copy, TOOL, "-m", "emulator", "stream", "--profile", seeded / "test.yaml", "--count", "20", "--quiet")
    finally:
        far_end.close()
    sent = {name: len(values) for name, values in far_end.acknowledged.items()}
    assert {name: sent[f"{UID}.{name}"] for name in TABLES} == dict.fromkeys(TABLES, 20)
    assert f"/dev/streams/streaming-{UID}-board/records" in {request.path for request in far_end.received}
    assert far_end.acknowledged[f"{UID}.board"][0].keys() == {"ind", "board", "visibility", "saves"}


@pytest.mark.timeout(1800)  # four loads and eleven answers, on a busy machine
def test_the_batch_cleans_the_new_table_and_answers_the_new_question(remote: str, seeded: Path, copy: Path) -> None:
    spark = f"{os.pathsep}{copy / 'spark'}"
    run(copy, sys.executable, "-c", BATCH, remote, str(seeded), path=spark)
    expected: dict[str, Any] = json.loads((seeded / "expected.json").read_text(encoding="utf-8"))
    found: dict[str, Any] = json.loads((seeded / "found.json").read_text(encoding="utf-8"))
    assert found["quarantined"] == [0] * len(TABLES)
    assert found["tables"].keys() == TABLES
    assert found["answers"].keys() == QUESTIONS
    assert found["tables"] == expected["tables"]
    assert found["answers"] == expected["answers"]
    assert len(found["answers"]["q9"]) > 10
    assert {row[1] for row in found["tables"]["board"]} == {"Ideas", "To try", "For later", None}
