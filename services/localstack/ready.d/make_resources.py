"""LocalStack runs this inside itself as soon as it answers, at every start: its API and S3 live in memory only.

It deploys localstack/template.yaml, puts airflow/ into the bucket of the DAGs, and where there was a life before this
one, has the sink's records land again.
The same file runs in the official image and natively; PINFLOW_DIRECTORY is where localstack/ and services/ are.
"""

import contextlib
import json
import os
import runpy
import time
from pathlib import Path

import boto3
import localstack.utils.net
import psutil
from botocore.config import Config
from localstack import config
from localstack.runtime import get_current_runtime
from localstack.runtime.init import Stage, State, init_script_manager

directory = Path(os.environ["PINFLOW_DIRECTORY"])
cloudformation = runpy.run_path(str(directory / "services" / "localstack" / "cloudformation.py"))
replay = runpy.run_path(str(directory / "services" / "localstack" / "replay.py"))
supervised = runpy.run_path(str(directory / "foundation" / "supervised.py"))


def client(service):
    return boto3.client(
        service,
        endpoint_url=os.environ["PINFLOW_ENDPOINT_URL"],
        config=Config(user_agent_extra="pinflow-deployment"),  # passes start.d/answer_503_until_ready.py
    )


def say(message):
    print(f"pinflow: {message}", flush=True)


def show_failing_loops(chain, context, response):
    """What `make status` asks."""
    if context.request.path == supervised["PATH"]:
        response.status_code = 200
        response.headers["Content-Type"] = "application/json"
        response.set_response(json.dumps(supervised["failing"]()).encode())
        chain.stop()


def save_kinesis():
    """Have the streams on disk: until the first save, 15 s from now, a Kinesis that is killed would forget them.

    SIGTERM makes it write and end; LocalStack starts it again, on the same ports.
    """
    for process in psutil.Process().children():
        if any("kinesis" in argument for argument in process.cmdline()):
            ports = [socket.laddr.port for socket in process.net_connections() if socket.status == psutil.CONN_LISTEN]
            process.terminate()
            # Not process.wait(): it would take the exit status from LocalStack, which reads 0 then and lets it be.
            with contextlib.suppress(psutil.NoSuchProcess):
                while process.status() != psutil.STATUS_ZOMBIE:
                    time.sleep(0.02)
            for port in ports:
                localstack.utils.net.wait_for_port_open(port, retries=300, sleep_time=0.1)


# LocalStack goes on without a hook that failed: without what that one changes, records would be lost.
failed = [Path(hook.path).name for hook in init_script_manager().scripts[Stage.START] if hook.state == State.ERROR]
if failed:
    raise RuntimeError(f"nothing is deployed, because start.d/{', '.join(failed)} failed: see the error above")

cloudformation["deploy"](
    client,
    directory / "localstack" / "template.yaml",
    {
        "UserId": os.environ["PINFLOW_UID"],
        "BucketName": os.environ["PINFLOW_BUCKET"],
        "DagBucketName": os.environ["PINFLOW_DAG_BUCKET"],
        "RestProxyUrl": os.environ["PINFLOW_REST_PROXY_URL"],
    },
)
say("the resources of localstack/template.yaml are there")

# On AWS a bucket keeps its DAGs; here they come back with it. Callers get 503 until then: Airflow sees none go.
dag_bucket = runpy.run_path(str(directory / "foundation" / "dag_bucket.py"))
for key, file in dag_bucket["files"]().items():
    client("s3").upload_file(str(file), os.environ["PINFLOW_DAG_BUCKET"], key)

# A new list: requests that are under way go through the old one, and would come twice to the handler that they are at.
gateway = get_current_runtime().components.gateway
gateway.request_handlers = [show_failing_loops, *gateway.request_handlers]

born = Path(config.dirs.data) / "born"  # in the directory that outlives LocalStack
if born.exists():
    connector = replay["Connector"](os.environ["PINFLOW_CONNECT_URL"], os.environ["PINFLOW_CONNECTOR"])
    bucket = replay["Bucket"](client("s3"), os.environ["PINFLOW_BUCKET"], f"topics/{os.environ['PINFLOW_UID']}.")
    supervised["start"]("replay of the topics into S3", lambda: replay["replay"](connector, bucket, say))
else:
    save_kinesis()
    born.parent.mkdir(parents=True, exist_ok=True)
    born.touch()
