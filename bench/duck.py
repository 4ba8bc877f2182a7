"""DuckDB answering the same questions from the same files: what one process on this machine can do at best."""

from __future__ import annotations

from pathlib import Path

import duckdb


def answers(directory: Path) -> list[int]:
    """Read pin/, geo/ and user/ below ``directory``, answer all ten questions; returns the answers' row counts."""
    script = Path(__file__).with_name("questions.sql").read_text(encoding="utf-8").format(directory=directory)
    with duckdb.connect() as connection:
        statements = [s for s in script.split(";") if s.strip()]
        return [len(connection.execute(statement).fetchall()) for statement in statements][-10:]
