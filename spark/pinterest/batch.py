"""The batch job: from the objects in S3 to the cleaned tables, the quarantine and the answers, all Delta.

    load(spark, "0a1b2c3d4e5f", "pin", "/mnt/user-0a1b2c3d4e5f-bucket/topics")    # and the other tables
    answer(spark, "0a1b2c3d4e5f")["q1"].rows

The loads may run side by side. Each table is replaced in one commit; the same objects give the same contents again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import Column, DataFrame, Observation, SparkSession, Window
from pyspark.sql import functions as F

from pinterest.cleaning import QUARANTINE, Cleaned, clean
from pinterest.frames import persisted
from pinterest.questions import answer_to, join
from pinterest.registry import QUESTIONS, TABLES
from pinterest.tables import create_table

A = TypeVar("A")
B = TypeVar("B")


class BatchError(Exception):
    """The job cannot continue; the message says what failed, where and why."""


@dataclass(frozen=True)
class Loaded:
    """The result of a load: each of the topic's records is a row, quarantined, or a duplicate.

    rows         of its table
    quarantined  records that do not fit the table
    differing    different rows that were dropped for a greater one with the same ``ind``
    duplicates   records beyond the first with an ``ind``, whether they differ or not
    """

    rows: int
    quarantined: int
    differing: int
    duplicates: int = 0

    @property
    def records(self) -> int:
        """Records that were read."""
        return self.rows + self.quarantined + self.duplicates


@dataclass(frozen=True)
class Answer:
    """A question's answer: the names of its columns, and its rows in order."""

    columns: list[str]
    rows: list[list[Any]]


def load(spark: SparkSession, uid: str, name: str, source: str) -> Loaded:
    """Clean a topic's records and replace its table, `<uid>_<name>`, and its part of `<uid>_quarantine`.

    ``name`` is a table of the registry; ``source`` is the directory of the topics, which have directories
    partition=<n>/ of objects with a record a line. A topic without objects makes an empty table. Raises BatchError, and
    leaves the table unchanged, if the source cannot be read or no topic of this user has a record.

    The table's commit says in its ``userMetadata`` what it was made of, as JSON: read_at (seconds since 1970, before
    the objects were listed), records, and what is in the answer.
    """
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    table, directory, began = TABLES[name], _topic(uid, name, source), time.time()
    read, kept = Observation(), Observation()
    cleaned = clean(table, _records(spark, directory))
    judged = cleaned.judged.observe(read, *_what_was_read())
    ranked = _ranked(Cleaned(table, judged).rows).observe(kept, F.count_if("differs").alias("differing"))
    with persisted(ranked.where("place = 1").select(*table.cleaned)) as rows:
        count = _counted(rows, directory)
        # Where nothing fits, Spark drops the empty rest of the plan, and the observations with it.
        seen = read.get if count else _first(cleaned.judged.agg(*_what_was_read()))
        bad, differing = seen["quarantined"], kept.get["differing"] if count else 0
        if not seen["records"]:
            _require_records(spark, uid, source)
        loaded = Loaded(count, bad, differing, seen["records"] - bad - count)
        _save_quarantine(spark, cleaned, uid, bad, seen["objects"], began)
        _save(rows, uid, name, userMetadata=json.dumps({"read_at": began, "records": loaded.records, **asdict(loaded)}))
    return loaded


def answer(spark: SparkSession, uid: str) -> dict[str, Answer]:
    """Answer every question from the saved tables, save each answer as `<uid>_<question>`; the answers by question."""
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    with persisted(join({name: spark.table(f"`{uid}_{name}`") for name in TABLES})) as posts:
        # Before the questions: side by side, each of them would read the tables.
        posts.count()
        answers = _at_once(lambda name: _answer(spark, answer_to(name, posts), uid, name), QUESTIONS)
    return dict(zip(QUESTIONS, answers, strict=True))


def _topic(uid: str, name: str, source: str) -> str:
    return f"{source.rstrip('/')}/{uid}.{name}"


def _counted(rows: DataFrame, directory: str) -> int:
    try:
        return int(rows.count())
    except PySparkException as error:
        raise BatchError(f"{directory}: {_brief(error)}") from None


def _require_records(spark: SparkSession, uid: str, source: str) -> None:
    if all(_records(spark, _topic(uid, name, source)).isEmpty() for name in TABLES):
        topics = ", ".join(f"{uid}.{name}" for name in TABLES)
        raise BatchError(f"{source}: no record in {topics}; no table was changed. Check the address, or post something")


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


def _save_quarantine(
    spark: SparkSession, cleaned: Cleaned, uid: str, count: int, objects: list[str], began: float
) -> None:
    """Replace one table's part of the quarantine. Only a topic that has such records is read again.

    The commit says when the load ``began``: until the table's own commit follows, the two do not match.
    """
    load = json.dumps({"table": cleaned.table.name, "read_at": began})
    quarantine, part = f"`{uid}_quarantine`", f"table = '{cleaned.table.name}'"
    create_table(spark, quarantine, QUARANTINE, partitioned_by=["table"])
    if not count:
        if not spark.table(quarantine).where(part).isEmpty():
            _replace(spark.createDataFrame([], QUARANTINE), quarantine, part, load)
        return
    # The sink may add objects at any moment: this reading is of those of the first.
    same = spark.createDataFrame([(name,) for name in objects], "source STRING")
    place, bad = ["source", "block"], F.col("reason").isNotNull()
    judged = cleaned.judged.join(F.broadcast(same), "source", "left_semi")
    judged = judged.select(*place, "position", "time", "reason", F.when(bad, F.col("value")).alias("value"))
    with persisted(judged) as kept:
        _replace(_with_lines(Cleaned(cleaned.table, kept)).quarantined, quarantine, part, load)


def _replace(rows: DataFrame, table: str, part: str, load: str) -> None:
    writer = rows.write.format("delta").mode("overwrite").option("replaceWhere", part)
    writer.option("userMetadata", load).saveAsTable(table)


def _with_lines(cleaned: Cleaned) -> Cleaned:
    """The records that do not fit, their ``position`` as the line in the object, or in the block of a large one."""
    place = ["source", "block"]
    first = cleaned.judged.groupBy(*place).agg(F.min("position").alias("first"))
    line = F.concat(F.lit("line "), (F.col("position") - F.col("first") + 1).cast("string"))
    after = F.when(F.col("block") > 0, F.concat(F.lit(" after byte "), F.col("block").cast("string")))
    placed = cleaned.judged.where(F.col("reason").isNotNull()).join(first, place)
    return Cleaned(cleaned.table, placed.withColumn("position", F.concat(line, F.coalesce(after, F.lit("")))))


def _what_was_read() -> list[Column]:
    """Of a topic's records: how many, how many of them do not fit, and the objects that they are in."""
    return [
        F.count(F.lit(1)).alias("records"),
        F.count("reason").alias("quarantined"),
        F.collect_set("source").alias("objects"),
    ]


def _first(aggregate: DataFrame) -> dict[str, Any]:
    row = aggregate.first()
    assert row is not None  # an aggregate without groups has one row
    return dict(row.asDict())


def _save(rows: DataFrame, uid: str, name: str, **options: str) -> None:
    """Replace a table, schema and all, in one commit. The quotes: an uid may look like the number 0e12."""
    writer = rows.write.format("delta").mode("overwrite").option("overwriteSchema", True).options(**options)
    writer.saveAsTable(f"`{uid}_{name}`")


def _answer(spark: SparkSession, answer: DataFrame, uid: str, name: str) -> Answer:
    """Compute the answer once and save it as one file, so that the table's rows are in order too.

    Saved straight from its plan, an answer is planned, and partly computed, several times: all take twice as long.
    """
    rows = answer.toArrow()
    _save(spark.createDataFrame(rows, answer.schema).coalesce(1), uid, name)
    return Answer(answer.columns, [list(row.values()) for row in rows.to_pylist()])


def _at_once(work: Callable[[A], B], items: Iterable[A]) -> list[B]:
    """Do the work on each item, in parallel: the cluster's cores are free while a driver plans or commits."""
    with ThreadPoolExecutor(max_workers=4) as pool:
        return list(pool.map(work, items))


def _brief(error: PySparkException) -> str:
    """The first line of Spark's message; the rest is a Java stack trace."""
    return str(error).strip().splitlines()[0]
