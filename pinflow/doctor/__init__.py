"""The doctor: checks every hop of the pipeline and says how to fix it. It never writes anything."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from foundation.errors import PinflowError
from foundation.profile import Profile
from pinflow.doctor import airflow, api, aws, database, databricks, kafka
from pinflow.doctor.finding import Finding, failed

# In the order in which a post travels. To add a hop, write a function of the profile and add a line here.
HOPS: dict[str, Callable[[Profile], list[Finding]]] = {
    "AWS credentials": aws.identity,
    "database": database.source,
    "API": api.routes,
    "API's resources": api.resources,
    "REST proxy": kafka.rest_proxy,
    "topics": kafka.topics,
    "MSK role": kafka.role,
    "connector": kafka.connector,
    "bucket": aws.bucket,
    "streams": aws.streams,
    "Databricks": databricks.workspace,
    "Airflow": airflow.environment,
}


def walk(profile: Profile) -> list[Finding]:
    """Every hop's findings, in order. The hops are checked in parallel, each within seconds."""
    with ThreadPoolExecutor(len(HOPS)) as pool:
        asked = {hop: pool.submit(_ask, hop, check, profile) for hop, check in HOPS.items()}
        return [finding for answer in asked.values() for finding in answer.result()]


def _ask(hop: str, check: Callable[[Profile], list[Finding]], profile: Profile) -> list[Finding]:
    try:
        return [finding.of(hop) for finding in check(profile)]
    except PinflowError as error:
        return [failed(hop.lower(), error.what, error.fix).of(hop)]
    except Exception as error:  # an unexpected error of one hop must not hide the others' findings
        fix = "this is a bug in the doctor: please report it"
        return [failed(hop.lower(), f"{type(error).__name__}: {error}", fix).of(hop)]
