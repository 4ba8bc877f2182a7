"""The registry, as a stream takes it to the cluster."""

from __future__ import annotations

import subprocess
import sys

from pyspark import cloudpickle

from pinterest import registry


def test_a_table_keeps_its_kinds_where_the_package_is_not_installed() -> None:
    cloudpickle.register_pickle_by_value(registry)
    try:
        pickled = cloudpickle.dumps(registry.TABLES["geo"])
    finally:
        cloudpickle.unregister_pickle_by_value(registry)
    program = "import pickle, sys; table = pickle.load(sys.stdin.buffer); print(table.columns['ind'].words, table.key)"
    done = subprocess.run([sys.executable, "-c", program], input=pickled, capture_output=True, cwd="/")
    assert done.stdout.decode() == "an integer from 0 that fits an INT ind\n", done.stderr.decode()
