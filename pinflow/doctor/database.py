"""The source database: whether it can be reached, and whether its tables exist."""

from __future__ import annotations

from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from foundation.errors import brief
from foundation.profile import Profile
from foundation.registry import TABLES
from pinflow.doctor.finding import Finding, failed, fix_for, ok

# MySQL's error numbers.
_ACCESS_DENIED, _NO_DATABASE, _NO_TABLE = (1045, 1044, 1698), (1049,), (1146,)


def source(profile: Profile) -> list[Finding]:
    """Counts the rows of each table."""
    where = profile.database.url
    try:
        engine = create_engine(profile.database.engine_url, connect_args=_bounded(where))
        connection = engine.connect()
    except (SQLAlchemyError, ImportError) as error:
        return [failed(f"connect to {where}", _said(error), _fix(profile, error))]
    findings = []
    with connection:
        for table in TABLES.values():
            query = f"select count(*) from {table.source}"
            tried = f"{query} at {where}"
            try:
                rows = connection.execute(text(query)).scalar_one()
            except SQLAlchemyError as error:
                findings.append(failed(tried, _said(error), _fix(profile, error)))
                continue
            empty = fix_for(profile, "mysql", "load the dump of its tables into it")
            findings.append(ok(tried, f"{rows:,} rows") if rows else failed(tried, "no rows", empty))
    engine.dispose()
    return findings


def _bounded(url: str) -> dict[str, int]:
    return {"connect_timeout": 5, "read_timeout": 10} if url.startswith(("mysql", "mariadb")) else {}


def _said(error: Exception) -> str:
    original = getattr(error, "orig", None)
    arguments = list(original.args) if original is not None else []
    return str(arguments[1]) if len(arguments) > 1 else brief(error)


def _fix(profile: Profile, error: Exception) -> str:
    original = getattr(error, "orig", None)
    code = original.args[0] if original is not None and original.args else None
    if code in _ACCESS_DENIED:
        return "the user in database.url, or its password (database.password), is wrong"
    if code in _NO_DATABASE:
        return "the name after the last / of database.url does not exist there"
    if code in _NO_TABLE:
        return fix_for(profile, "mysql", "load the dump of its tables into this database")
    return fix_for(
        profile,
        "mysql",
        "RDS: is the instance available and publicly accessible, and does its security group let this machine in?",
    )
