"""`<Airflow's python> one_try.py DAG_FILE TASK`: for each line `RUN_ID TRY START` of stdin, a try up to its submission.

START is the ISO date at which the run of the DAG began. Prints the Databricks run that the try would follow; then that
try is gone, as if Airflow had been killed there.
"""

import copy
import logging
import sys
from datetime import datetime
from types import SimpleNamespace

logging.disable(logging.CRITICAL)
try:
    from airflow.dag_processing.dagbag import DagBag
except ImportError:  # Airflow 2
    from airflow.models.dagbag import DagBag

file, task_id = sys.argv[1:]
(dag,) = DagBag(file, include_examples=False).dags.values()
for line in sys.stdin:
    run_id, tried, start = line.split()
    task = copy.deepcopy(dag.get_task(task_id))
    task.json["run_name"] = task.json["run_name"].replace("{{ run_id }}", run_id)
    dag_run = SimpleNamespace(dag_id=dag.dag_id, run_id=run_id, start_date=datetime.fromisoformat(start))
    instance = SimpleNamespace(try_number=int(tried), task_id=task_id)
    dag.default_args["pre_execute"]({"task": task, "ti": instance, "dag_run": dag_run})
    print(f"run {task._hook.submit_run(task.json)}", flush=True)
