"""What uses the insides of botocore and PySpark; tests/canaries/spark/test_spark.py fails by name on an upgrade."""

from __future__ import annotations

import os
from typing import Any


def set_renewing_credentials(session: Any, credentials: Any) -> None:
    """Give a botocore session credentials that renew themselves.

    botocore has no public way: https://github.com/boto/botocore/issues/2852. Can go when its `set_credentials` takes
    them, as pull request 1742 asks since 2019.
    """
    session._credentials = credentials


def hide_traceback() -> None:
    """Let Spark print the error of this process without the page of Python calls that led to it.

    SPARK_HIDE_TRACEBACK is PySpark's own, but undocumented; its documented setting is for the whole cluster
    (spark.sql.execution.pyspark.udf.hideTraceback.enabled). Can go when an exception can ask for it.
    """
    os.environ["SPARK_HIDE_TRACEBACK"] = "1"
