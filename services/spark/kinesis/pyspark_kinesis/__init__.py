"""``spark.readStream.format("kinesis")``: a stand-in for Databricks' Kinesis connector, as a Python data source.

Spark finds packages named ``pyspark_*`` on its PYTHONPATH and uses their ``DefaultSource``: nobody registers it.
It creates a new source each time that a plan is analysed, so botocore is imported only where records are read.
"""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql.datasource import DataSource, DataSourceReader, SimpleDataSourceStreamReader
from pyspark.sql.types import StructType

from pyspark_kinesis.errors import KinesisError, shown_plainly
from pyspark_kinesis.options import Options

SCHEMA = (
    "partitionKey string, data binary, stream string, shardId string, sequenceNumber string, "
    "approximateArrivalTimestamp timestamp"
)
"""Databricks' columns."""


class DefaultSource(DataSource):
    """The source ``kinesis``, for ``readStream`` and ``read``. Options: see README.md and options.py."""

    def __init__(self, options: Mapping[str, str]) -> None:
        # DataSource.__init__ would keep the options as they are, with the keys in their repr.
        with shown_plainly():
            self.settings = Options.parse(options)

    @classmethod
    def name(cls) -> str:
        return "kinesis"

    def schema(self) -> str:
        return SCHEMA

    def simpleStreamReader(self, schema: StructType) -> SimpleDataSourceStreamReader:
        from pyspark_kinesis.stream import StreamReader

        with shown_plainly():
            check(schema)
            return StreamReader(self.settings)

    def reader(self, schema: StructType) -> DataSourceReader:
        from pyspark_kinesis.batch import BatchReader

        with shown_plainly():
            check(schema)
            return BatchReader(self.settings)


def check(schema: StructType) -> None:
    """Raise KinesisError if the user set a schema of their own."""
    ours = [column.split() for column in SCHEMA.split(", ")]
    if [[field.name, field.dataType.simpleString()] for field in schema.fields] != ours:
        raise KinesisError(
            f"the columns of a Kinesis stream are fixed: {SCHEMA}",
            "remove .schema(…) and parse the records yourself: from_json(col('data').cast('string'), …)",
        )
