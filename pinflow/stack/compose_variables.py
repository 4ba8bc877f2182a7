"""The variables of docker-compose.yml, from the profile: ports, names, versions, passwords."""

from __future__ import annotations

import json
import os
from urllib.parse import urlsplit

from pydantic import SecretStr

from foundation.profile import Profile
from services.mysql import accounts

# The first user of most machines, and the images' user; containers of root do not run as root either.
_FIRST_USER = 1000


def variables(profile: Profile, rootless: bool = False) -> dict[str, str]:
    """Every variable that docker-compose.yml reads; its defaults are those of profiles/local.yaml.

    ``rootless``: the engine runs as the user, who is root in its containers.
    """
    airflow, databricks, database = profile.airflow, profile.databricks, profile.database.engine_url
    services = profile.stack.services if profile.stack else []
    old = airflow.version.startswith("2")
    scopes = {
        scope: {key: value.get_secret_value() for key, value in secrets.items()}
        for scope, secrets in databricks.secrets.items()
    }
    user, group = (os.getuid(), os.getgid()) if os.getuid() else (_FIRST_USER, _FIRST_USER)
    return {
        "PINFLOW_HOME": str(profile.home),
        "PINFLOW_USER": "0:0" if rootless else f"{user}:{group}",
        "PINFLOW_USER_ID": str(user),
        "PINFLOW_UID": profile.uid,
        "PINFLOW_REGION": profile.aws.region,
        "PINFLOW_AWS_ACCESS_KEY_ID": _plain(profile.aws.access_key_id, "test"),
        "PINFLOW_AWS_SECRET_ACCESS_KEY": _plain(profile.aws.secret_access_key, "test"),
        "PINFLOW_BUCKET": profile.storage.bucket,
        "PINFLOW_DAG_BUCKET": profile.storage.dag_bucket,
        "PINFLOW_SHARDS": str(profile.kinesis.shards or 0),
        "PINFLOW_CONNECTOR": profile.connect.connector,
        "PINFLOW_DATABASE": database.database or "",
        "PINFLOW_DATABASE_USER": database.username or "",
        "PINFLOW_DATABASE_PASSWORD": _plain(profile.database.password, ""),
        "PINFLOW_DATABASE_ACCOUNTS": accounts.statements(profile) if "mysql" in services else "",
        "PINFLOW_CLUSTER_ID": databricks.cluster_id,
        "PINFLOW_DATABRICKS_TOKEN": databricks.token.get_secret_value(),
        "PINFLOW_DATABRICKS_SECRETS": json.dumps(scopes),
        "PINFLOW_AIRFLOW_ENVIRONMENT": airflow.environment,
        "PINFLOW_AIRFLOW_EXECUTOR": "SequentialExecutor" if old else "LocalExecutor",
        "PINFLOW_AIRFLOW_API": "v1" if old else "v2",
        "AIRFLOW_VERSION": airflow.version,
        "PINFLOW_MYSQL_PORT": str(database.port or 3306),
        "PINFLOW_KAFKA_PORT": profile.kafka.bootstrap_servers.rpartition(":")[2],
        "PINFLOW_REST_PROXY_PORT": _port(profile.rest_proxy.url),
        "PINFLOW_CONNECT_PORT": _port(profile.connect.url),
        "PINFLOW_LOCALSTACK_PORT": _port(profile.aws.endpoint_url),
        "PINFLOW_SPARK_PORT": _port(profile.spark.remote),
        "PINFLOW_DATABRICKS_PORT": _port(databricks.host),
        "PINFLOW_AIRFLOW_PORT": _port(airflow.url),
        "PINFLOW_MWAA_PORT": _port(airflow.endpoint_url),
    }


def _port(url: str | None) -> str:
    """A URL's port; 1 for a service that is not on this machine, because nothing reads it."""
    return str(urlsplit(url or "").port or 1)


def _plain(secret: SecretStr | None, otherwise: str) -> str:
    return secret.get_secret_value() if secret else otherwise
