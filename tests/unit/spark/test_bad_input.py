"""A thousand bad records a table: each is a row of the table or in the quarantine, by the batch and by the stream.

What fits is judged here by Python's own JSON parser and the contract's section 6, none of the product's code.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from pinterest import stream
from pinterest.batch import load
from tests.generated import CASES, changed, damaged
from tests.unit.spark.records import ARRIVED, RECORDS

pytestmark = pytest.mark.long
UID = "6" * 12
KEYS = {"pin": "index", "geo": "ind", "user": "ind"}
NUMBERS = ("latitude", "longitude")
MOMENTS = ("timestamp", "date_joined")
MOMENT = re.compile(r"(?!0000)[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}")


def made_up(seed: int, table: str) -> list[bytes]:
    """Records of a table, most of them wrong somewhere; each that fits has an ind of its own. No line ends in them."""
    draw, found = random.Random(f"{seed} {table}"), []
    for number in range(CASES):
        good = {**RECORDS[table], KEYS[table]: number}
        match draw.randrange(4):
            case 0:
                raw = json.dumps(good, ensure_ascii=draw.random() < 0.5).encode()
            case 1:
                raw = json.dumps(changed(draw, good)).encode()
            case _:
                raw = damaged(draw, json.dumps(good).encode())
        found.append(raw.replace(b"\n", b" "))
    return found


def fitting(table: str, raw: bytes) -> int | None:
    """The ind of a record that fits its table; None for one that does not."""
    try:
        record = json.loads(raw.decode("utf-8"), object_pairs_hook=once, parse_constant=refuse)
        json.dumps(record, ensure_ascii=False).encode()  # halves of characters are no UTF-8
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or not RECORDS[table].keys() <= record.keys():
        return None
    fits = all(suits(name, record[name], KEYS[table]) for name in RECORDS[table])
    return int(record[KEYS[table]]) if fits else None


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key stands in it twice")
    return dict(pairs)


def refuse(constant: str) -> None:
    raise ValueError(constant)


def suits(name: str, value: Any, key: str) -> bool:
    """Whether a field's value is what the contract says."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    number = (whole or isinstance(value, float)) and abs(value) < 1.8e308
    if name == key:
        return whole and 0 <= value <= 2_147_483_647
    if value is None:
        return True
    if name == "age":
        return whole and 0 <= value <= 150
    if name == "downloaded":
        return whole and -(2**63) <= value < 2**63
    if name in NUMBERS:
        return number
    if name == "follower_count":
        return number or isinstance(value, str)
    if name in MOMENTS:
        return isinstance(value, str) and bool(MOMENT.fullmatch(value)) and is_date(value)
    return isinstance(value, str)


def is_date(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("table", RECORDS)
def test_each_line_in_s3_is_a_row_or_in_the_quarantine(spark: SparkSession, tmp_path: Path, table: str) -> None:
    raws = made_up(7, table)
    objects = tmp_path / f"{UID}.{table}" / "partition=0"
    objects.mkdir(parents=True)
    for start in range(0, CASES, 100):
        (objects / f"{start:010}.json").write_bytes(b"".join(raw + b"\n" for raw in raws[start : start + 100]))
    expected = {place: fitting(table, raw) for place, raw in enumerate(raws)}
    loaded = load(spark, UID, table, str(tmp_path))
    rows = spark.table(f"`{UID}_{table}`").toArrow().to_pylist()
    inds = {ind for ind in expected.values() if ind is not None}
    bad = {place: raws[place] for place, ind in expected.items() if ind is None}
    assert len(inds) > 200 and len(bad) > 200, "a seed that tries both"
    held = spark.table(f"`{UID}_quarantine`").where(f"table = '{table}'").toArrow().to_pylist()
    places = Counter(int(Path(row["source"]).stem) + int(row["position"].removeprefix("line ")) - 1 for row in held)
    shown = {place: raws[place] for place in set(places) ^ set(bad)}
    assert not shown, "judged otherwise here"
    assert max(places.values()) == 1 and all(row["reason"] for row in held)
    assert {bytes(row["raw_bytes"]) if row["raw_bytes"] is not None else row["raw"].encode() for row in held} == {
        *bad.values()
    }
    assert Counter(row["ind"] for row in rows) == Counter(inds)
    assert (loaded.rows, loaded.quarantined) == (len(inds), len(bad))


@pytest.mark.parametrize("table", RECORDS)
def test_each_record_in_kinesis_is_a_row_or_in_the_quarantine(spark: SparkSession, tmp_path: Path, table: str) -> None:
    raws = [raw.replace(b" ", b"\n", 1) if place % 7 == 0 else raw for place, raw in enumerate(made_up(8, table))]
    source = tmp_path / "source"
    source.mkdir()
    for start in range(0, CASES, 250):
        part = raws[start : start + 250]
        columns = {
            "value": pa.array(part, pa.binary()),
            "source": ["a-stream"] * len(part),
            "position": [f"shardId-000000000000 {start + place}" for place in range(len(part))],
            "time": pa.array([ARRIVED] * len(part), pa.timestamp("us", "UTC")),
        }
        pq.write_table(pa.table(columns), source / f"{start:04}.parquet")
    schema = "value BINARY, source STRING, position STRING, time TIMESTAMP"
    records = spark.readStream.schema(schema).option("maxFilesPerTrigger", 1).parquet(str(source))
    stream.create_tables(spark, UID)
    query = stream.write(records, UID, table, str(tmp_path / "checkpoints"))
    query.processAllAvailable()
    query.stop()
    expected = {place: fitting(table, raw) for place, raw in enumerate(raws)}
    bad = {place for place, ind in expected.items() if ind is None}
    held = spark.table(f"`{UID}_stream_quarantine`").where(f"table = '{table}'").toArrow().to_pylist()
    assert Counter(int(row["position"].split()[1]) for row in held) == Counter(bad)
    rows = spark.table(f"`{UID}_{table}_table`").select("ind").toArrow().to_pylist()
    assert Counter(row["ind"] for row in rows) == Counter(ind for ind in expected.values() if ind is not None)
