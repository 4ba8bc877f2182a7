"""Which files of airflow/ go into MWAA's bucket. Standard library only: LocalStack's ready hook runs it alone."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "airflow"

_SKIPPED = {"__pycache__", "README.md", ".DS_Store"}


def files() -> dict[str, Path]:
    """Key in the bucket to file: dags/ with everything in it, requirements.txt, plugins.zip and the like."""
    found = (file for file in sorted(FOLDER.rglob("*")) if file.is_file())
    return {
        file.relative_to(FOLDER).as_posix(): file
        for file in found
        if not _SKIPPED & set(file.parts) and not file.name.startswith(".")
    }
