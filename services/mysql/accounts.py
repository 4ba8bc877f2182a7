"""The SQL that makes the database and the user of a profile, for the native server and for the mysql image alike."""

from __future__ import annotations

from foundation.errors import ProfileError
from foundation.profile import Profile


def statements(profile: Profile) -> str:
    """One statement a line, as an init file must be: makes what is not there, and alters the user's password.

    Raises ProfileError for a password that not every client would send alike.
    """
    url = profile.database.engine_url
    password = str(url.password or "")
    if not password.isascii():
        # PyMySQL sends Latin-1, other clients UTF-8: the hash would fit one of them only. RDS takes ASCII only.
        raise ProfileError(f"{profile.path}: database.password: expected ASCII characters only")
    user, database = f"{_text(url.username or '')}@'%'", f"`{(url.database or '').replace('`', '``')}`"
    return (
        f"CREATE DATABASE IF NOT EXISTS {database};\n"
        f"CREATE USER IF NOT EXISTS {user};\n"
        f"ALTER USER {user} IDENTIFIED BY {_text(password)};\n"
        f"GRANT ALL ON {database}.* TO {user};\n"
    )


def _text(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\0", "\\0")
    return f"'{escaped}'"
