"""`<Airflow's python> read_dags.py FOLDER`: DAG ids and import errors by file, as JSON on the last line of stdout."""

import json
import logging
import subprocess
import sys
from pathlib import Path

logging.disable(logging.CRITICAL)


def main(folder: str) -> None:
    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:  # Airflow 2
        from airflow.models.dagbag import DagBag
    # Reading asks the database for Variables and pools; it is made once and kept.
    if not Path("migrated").exists():
        airflow = [str(Path(sys.executable).with_name("airflow")), "db", "migrate"]
        subprocess.run(airflow, check=True, stdout=subprocess.DEVNULL)
        Path("migrated").touch()
    bag = DagBag(folder, include_examples=False)
    errors = {file.rpartition("/")[2]: text for file, text in bag.import_errors.items()}
    print("\n" + json.dumps({"dags": sorted(bag.dags), "errors": errors}))


if __name__ == "__main__":
    main(sys.argv[1])
