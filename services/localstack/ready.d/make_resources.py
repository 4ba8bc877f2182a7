"""LocalStack runs this as soon as it answers, at every start: its API and S3 live in memory only.

Deploys localstack/template.yaml, uploads airflow/ to the bucket of the DAGs, and after a restart lets the sink write
its records again. The same file runs in the official image and natively; PINFLOW_DIRECTORY holds localstack/ and
services/.
"""

import os
import runpy
from pathlib import Path

import boto3
from botocore.config import Config

directory = Path(os.environ["PINFLOW_DIRECTORY"])
services = directory / "services" / "localstack"
compat = runpy.run_path(str(services / "compat.py"))
cloudformation = runpy.run_path(str(services / "cloudformation.py"))
replay = runpy.run_path(str(services / "replay.py"))
dag_bucket = runpy.run_path(str(directory / "foundation" / "dag_bucket.py"))
supervised = runpy.run_path(str(directory / "foundation" / "supervised.py"))


def client(service):
    config = Config(user_agent_extra=compat["DEPLOYMENT"])
    return boto3.client(service, endpoint_url=os.environ["PINFLOW_ENDPOINT_URL"], config=config)


def say(message):
    print(f"pinflow: {message}", flush=True)


compat["require_start_hooks"]()
parameters = {
    "UserId": os.environ["PINFLOW_UID"],
    "BucketName": os.environ["PINFLOW_BUCKET"],
    "DagBucketName": os.environ["PINFLOW_DAG_BUCKET"],
    "ShardCount": os.environ["PINFLOW_SHARDS"],
    "RestProxyUrl": os.environ["PINFLOW_REST_PROXY_URL"],
}
cloudformation["deploy"](client, directory / "localstack" / "template.yaml", parameters)
say("the resources of localstack/template.yaml exist")
# On AWS a bucket keeps its DAGs. Until they are uploaded callers get 503, so Airflow sees none disappear.
for key, file in dag_bucket["files"]().items():
    client("s3").upload_file(str(file), os.environ["PINFLOW_DAG_BUCKET"], key)
compat["answer_json"](supervised["PATH"], supervised["failing"])

started_before = compat["data_directory"]() / "born"
if started_before.exists():
    connector = replay["Connector"](os.environ["PINFLOW_CONNECT_URL"], os.environ["PINFLOW_CONNECTOR"])
    bucket = replay["Bucket"](client("s3"), os.environ["PINFLOW_BUCKET"], f"topics/{os.environ['PINFLOW_UID']}.")
    supervised["start"]("replay of the topics into S3", lambda: replay["replay"](connector, bucket, say))
else:
    compat["save_kinesis"]()
    started_before.parent.mkdir(parents=True, exist_ok=True)
    started_before.touch()
