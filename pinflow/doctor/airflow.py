"""The MWAA environment and our DAG in it."""

from __future__ import annotations

from foundation.mwaa import AirflowError, Mwaa
from foundation.profile import Profile
from pinflow.doctor.finding import Finding, failed, fix_for, ok, skipped, unknown


def environment(profile: Profile) -> list[Finding]:
    """Asks Airflow, through MWAA's API, for its DAGs and its import errors."""
    if absent := skipped(profile, "airflow", profile.airflow.endpoint_url or ""):
        return absent
    mwaa = Mwaa(profile, patient=False)
    tried = f"MWAA environment {profile.airflow.environment}: GET /dags"
    try:
        dags, errors = mwaa.dags(), mwaa.import_errors()
    except AirflowError as error:
        elsewhere = "airflow.environment is the name in MWAA's console; these credentials need airflow:InvokeRestApi"
        return [failed(tried, error.what, fix_for(profile, "airflow", elsewhere))]
    findings = [
        failed(tried, f"import error: {error}"[:500], "fix the file, then make deploy-dags") for error in errors
    ]
    if mwaa.dag_id not in dags:
        return [*findings, unknown(tried, f"no DAG {mwaa.dag_id} yet", "make deploy-dags puts it into the DAG bucket")]
    paused = " (paused: run-dag unpauses it)" if dags[mwaa.dag_id].get("is_paused") else ""
    return [*findings, ok(tried, f"{mwaa.dag_id} exists{paused}")]
