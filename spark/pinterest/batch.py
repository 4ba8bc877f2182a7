"""The batch job: the objects in S3 in; the cleaned tables, the quarantine and the ten answers out, all Delta.

    python -m pinterest.batch --remote sc://127.0.0.1:15002 --uid 0a1b2c3d4e5f --source s3a://user-…-bucket/topics

Progress goes to stderr, the answers to stdout as tables, or with --json to a file. Each table is replaced in one
commit; over the same objects the same contents come out again.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import DataFrame, Observation, SparkSession, Window
from pyspark.sql import functions as F

from pinterest.cleaning import Cleaned, clean
from pinterest.questions import QUESTIONS, join
from pinterest.schemas import QUARANTINE, TABLES, Table

SHOWN = 10
"""Rows of an answer that are printed."""

A = TypeVar("A")
B = TypeVar("B")
Say = Callable[[str], None]


class BatchError(Exception):
    """The job cannot go on; the message says what failed, where and why."""


@dataclass(frozen=True)
class Answer:
    """A question's answer: the names of its columns, and its rows in order."""

    columns: list[str]
    rows: list[list[Any]]


@dataclass
class Result:
    """What a run made.

    answers      by question, q1 to q8
    tables       rows in pin, geo, user and quarantine
    quarantined  records that do not fit their table
    differing    rows, different from each other, that lost against a greater one with the same ``ind``
    seconds      by step
    """

    answers: dict[str, Answer] = field(default_factory=dict)
    tables: dict[str, int] = field(default_factory=dict)
    quarantined: int = 0
    differing: int = 0
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Loaded:
    """One topic, cleaned. ``rows`` is its table, one row per ``ind``, kept by the cluster until `unpersist`."""

    cleaned: Cleaned
    rows: DataFrame
    count: int
    quarantined: int
    differing: int


def run(spark: SparkSession, uid: str, source: str, say: Say = lambda text: None) -> Result:
    """Load, clean and save the three tables, then ask the questions and save the answers.

    ``source`` is the directory of the topics, such as s3a://bucket/topics; a topic without objects makes an empty
    table. Raises BatchError, and leaves all tables as they were, if the source cannot be read or no topic has a record.
    """
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    result = Result()

    @contextmanager
    def timed(step: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        result.seconds[step] = round(time.monotonic() - started, 2)
        say(f"{step}: {result.seconds[step]:.1f} s")

    with timed("read and clean"):
        loaded = _at_once(lambda table: load(spark, table, f"{source.rstrip('/')}/{uid}.{table.name}"), TABLES.values())
    result.quarantined = sum(one.quarantined for one in loaded)
    result.differing = sum(one.differing for one in loaded)
    result.tables = {one.cleaned.table.name: one.count for one in loaded} | {"quarantine": result.quarantined}
    if not any(result.tables.values()):
        topics = ", ".join(f"{uid}.{name}" for name in TABLES)
        raise BatchError(f"{source}: no record in {topics}; no table was changed. Check the address, or post something")
    say(", ".join(f"{name} {rows:,}" for name, rows in result.tables.items()) + " rows")
    if result.differing:
        say(f"{result.differing:,} rows differed from a greater one with the same ind, which was kept")

    with timed("save the tables"):
        frames = {one.cleaned.table.name: one.rows for one in loaded} | {"quarantine": _quarantine(spark, loaded)}
        _at_once(lambda name: _save(frames[name], uid, name), frames)
    with timed("answer the questions"):
        posts = join(*(one.rows for one in loaded)).persist()
        answers = _at_once(lambda name: _answer(spark, QUESTIONS[name](posts), uid, name), QUESTIONS)
        result.answers = dict(zip(QUESTIONS, answers, strict=True))
    for frame in (posts, *(one.rows for one in loaded)):
        frame.unpersist()
    return result


def load(spark: SparkSession, table: Table, directory: str) -> Loaded:
    """Read a topic's objects, clean them, and keep one row per ``ind``.

    ``directory`` holds partition=<n>/ directories of objects with a record a line.
    """
    seen, kept = Observation(), Observation()
    cleaned = clean(table, _records(spark, directory))
    judged = cleaned.judged.observe(seen, F.count("reason").alias("quarantined"))
    ranked = _ranked(Cleaned(table, judged).rows).observe(kept, F.count_if("differs").alias("differing"))
    rows = ranked.where("place = 1").select(*table.names).persist()
    try:
        count = rows.count()
    except PySparkException as error:
        raise BatchError(f"{directory}: {_brief(error)}") from None
    if not count:
        # Where nothing fits, Spark drops the empty rest of the plan, and the observations with it.
        return Loaded(cleaned, rows, 0, cleaned.quarantined.count(), 0)
    return Loaded(cleaned, rows, count, seen.get["quarantined"], kept.get["differing"])


def _records(spark: SparkSession, directory: str) -> DataFrame:
    """The lines of a topic's objects, as `clean` takes them; ``block`` is where in the object Spark began to read.

    The lines that a task reads are numbered on: of one object and block, by consecutive positions.
    """
    # All objects are listed by their directory. (A pattern that matches objects costs two more requests for each.)
    lines = spark.read.format("text").option("lineSep", "\n").option("recursiveFileLookup", True).load(directory)
    try:
        _ = lines.schema
    except AnalysisException as error:
        if error.getCondition() != "PATH_NOT_FOUND":
            raise BatchError(f"{directory}: {_brief(error)}") from None
        return spark.createDataFrame([], "value STRING, source STRING, position LONG, time TIMESTAMP, block LONG")
    except PySparkException as error:
        raise BatchError(f"{directory}: {_brief(error)}") from None
    return lines.select(
        "value",
        F.col("_metadata.file_path").alias("source"),
        F.monotonically_increasing_id().alias("position"),
        F.col("_metadata.file_modification_time").alias("time"),
        F.col("_metadata.file_block_start").alias("block"),
    )


def _ranked(rows: DataFrame) -> DataFrame:
    """Rows with ``place`` among those of the same ``ind``, 1 the greatest, and ``differs`` from the one before it."""
    greatest_first = [F.desc_nulls_last(name) for name in rows.columns if name != "ind"]
    same = Window.partitionBy("ind").orderBy(*greatest_first)
    ranked = rows.withColumn("place", F.row_number().over(same)).withColumn("kind", F.dense_rank().over(same))
    return ranked.withColumn("differs", F.col("kind") > F.lag("kind").over(same))


def _quarantine(spark: SparkSession, loaded: Iterable[Loaded]) -> DataFrame:
    """What did not fit, with its line in the object. Only a topic that has such records is read again."""
    found = spark.createDataFrame([], QUARANTINE)
    for one in loaded:
        if one.quarantined:
            found = found.unionByName(_with_lines(one.cleaned).quarantined)
    return found


def _with_lines(cleaned: Cleaned) -> Cleaned:
    place, bad = ["source", "block"], F.col("reason").isNotNull()
    judged = cleaned.judged.select(*place, "position", "time", "reason", F.when(bad, F.col("value")).alias("value"))
    # Kept, so that both sides of the join come from one reading: the sink may add objects at any moment.
    judged = judged.persist()
    first = judged.groupBy(*place).agg(F.min("position").alias("first"))
    line = F.concat(F.lit("line "), (F.col("position") - F.col("first") + 1).cast("string"))
    after = F.when(F.col("block") > 0, F.concat(F.lit(" after byte "), F.col("block").cast("string")))
    placed = judged.where(bad).join(first, place)
    return Cleaned(cleaned.table, placed.withColumn("position", F.concat(line, F.coalesce(after, F.lit("")))))


def _save(rows: DataFrame, uid: str, name: str) -> None:
    """Replace a table, schema and all, in one commit. The quotes: an uid may look like the number 0e12."""
    rows.write.format("delta").mode("overwrite").option("overwriteSchema", True).saveAsTable(f"`{uid}_{name}`")


def _answer(spark: SparkSession, answer: DataFrame, uid: str, name: str) -> Answer:
    """Ask once, save what came back as one file, so that the table's rows are in order too.

    Saved straight from its plan an answer is planned, and partly computed, several times: twice the time for all ten.
    """
    rows = answer.toArrow()
    _save(spark.createDataFrame(rows, answer.schema).coalesce(1), uid, name)
    return Answer(answer.columns, [list(row.values()) for row in rows.to_pylist()])


def _at_once(work: Callable[[A], B], items: Iterable[A]) -> list[B]:
    """The work on each item, side by side: the cluster's cores are free while a driver plans or commits."""
    with ThreadPoolExecutor(max_workers=4) as pool:
        return list(pool.map(work, items))


def _brief(error: PySparkException) -> str:
    """The first line of Spark's message; the rest is a Java stack trace."""
    return str(error).strip().splitlines()[0]


def main() -> None:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m pinterest.batch", description="From the objects to the answers.")
    parser.add_argument("--remote", required=True, help="the Spark Connect server, sc://host:port")
    parser.add_argument("--uid", required=True, help="the 12 hexadecimal digits that name topics and tables")
    parser.add_argument("--source", required=True, help="the directory of the topics, s3a://bucket/topics")
    parser.add_argument("--json", type=Path, help="write the result to this file instead of printing the answers")
    arguments = parser.parse_args()
    try:
        spark = SparkSession.builder.remote(arguments.remote).getOrCreate()
        result = run(spark, arguments.uid, arguments.source, lambda text: print(text, file=sys.stderr, flush=True))
    except (BatchError, PySparkException) as error:
        sys.exit(f"batch: {error if isinstance(error, BatchError) else _brief(error)}")
    if arguments.json:
        arguments.json.write_text(_as_json(result), encoding="utf-8")
    else:
        print("\n".join(f"\n{arguments.uid}_{name}\n{_as_table(answer)}" for name, answer in result.answers.items()))


def _as_json(result: Result) -> str:
    """One object: by question {columns, rows}, beside them tables, quarantined, differing and seconds."""
    document = asdict(result)
    return json.dumps(document.pop("answers") | document, ensure_ascii=False)


def _as_table(answer: Answer) -> str:
    """The first rows as aligned text, numbers to the right."""
    cells = [["" if value is None else str(value) for value in row] for row in answer.rows[:SHOWN]]
    widths = [max(len(text) for text in column) for column in zip(answer.columns, *cells, strict=True)]
    numeric = [isinstance(value, int | float) for value in (answer.rows[0] if answer.rows else answer.columns)]

    def line(texts: list[str]) -> str:
        aligned = (t.rjust(w) if n else t.ljust(w) for t, w, n in zip(texts, widths, numeric, strict=True))
        return "  ".join(aligned).rstrip()

    more = len(answer.rows) - SHOWN
    lines = [line(answer.columns), "  ".join("-" * width for width in widths), *map(line, cells)]
    return "\n".join([*lines, f"… {more:,} more"] if more > 0 else lines)


if __name__ == "__main__":
    main()
