"""What of airflow/ goes into MWAA's bucket. Read by `make deploy-dags` and, in LocalStack itself, by its ready hook."""

from __future__ import annotations

from pathlib import Path

_LEFT_OUT = {"__pycache__", "README.md", ".DS_Store"}


def files(folder: Path) -> dict[str, Path]:
    """Key in the bucket to file: dags/ with all that is in it, requirements.txt, plugins.zip and the like."""
    found = (file for file in sorted(folder.rglob("*")) if file.is_file())
    return {
        file.relative_to(folder).as_posix(): file
        for file in found
        if not _LEFT_OUT & set(file.parts) and not file.name.startswith(".")
    }
