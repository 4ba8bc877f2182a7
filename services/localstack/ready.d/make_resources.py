"""LocalStack runs this inside itself as soon as it answers, at every start: its API and S3 live in memory only.

It deploys localstack/template.yaml, and where there was a life before this one, has the sink's records land again.
The same file runs in the official image and natively; PINFLOW_DIRECTORY is where localstack/ and services/ are.
"""

import os
import runpy
import threading
from pathlib import Path

import boto3
from botocore.config import Config
from localstack import config

directory = Path(os.environ["PINFLOW_DIRECTORY"])
cloudformation = runpy.run_path(str(directory / "services" / "localstack" / "cloudformation.py"))
replay = runpy.run_path(str(directory / "services" / "localstack" / "replay.py"))


def client(service):
    return boto3.client(
        service,
        endpoint_url=os.environ["PINFLOW_ENDPOINT_URL"],
        config=Config(user_agent_extra="pinflow-deployment"),  # passes start.d/answer_503_until_ready.py
    )


def say(message):
    print(f"pinflow: {message}", flush=True)


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

born = Path(config.dirs.data) / "born"  # in the directory that outlives LocalStack
if born.exists():
    connector = replay["Connector"](os.environ["PINFLOW_CONNECT_URL"], os.environ["PINFLOW_CONNECTOR"])
    bucket = replay["Bucket"](client("s3"), os.environ["PINFLOW_BUCKET"], f"topics/{os.environ['PINFLOW_UID']}.")
    threading.Thread(target=replay["replay"], args=(connector, bucket, say), name="replay", daemon=True).start()
else:
    born.parent.mkdir(parents=True, exist_ok=True)
    born.touch()
