"""Connections to the source database as the application's user, through PyMySQL."""

from __future__ import annotations

import pymysql
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from foundation.profile import Profile


def connect(profile: Profile, timeout: float | None = None) -> Connection[Cursor]:
    """Connect to database.url; raises pymysql.Error. ``timeout`` bounds each step, in seconds."""
    url = profile.database.engine_url
    return pymysql.connect(
        host=url.host,
        port=url.port or 3306,
        user=url.username,
        password=str(url.password or ""),
        database=url.database,
        charset="utf8mb4",
        connect_timeout=int(timeout or 10),
        read_timeout=timeout,
        write_timeout=timeout,
    )
