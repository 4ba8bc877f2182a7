"""MySQL without Docker: a server of this machine, else MariaDB, standing in for RDS MySQL."""

from __future__ import annotations

import os
from pathlib import Path

import pymysql
from pymysql.constants import CR

from foundation import loopback
from foundation.errors import NotReady, ProfileError
from foundation.profile import Profile
from foundation.service import Command, Say, Service
from services.mysql.accounts import statements
from services.mysql.database import connect
from services.mysql.server import Server, find


def prepare(profile: Profile) -> None:
    """Make the data directory where there is none yet; raises PreflightError where no server runs.

    Also ProfileError for a password that the server would not take.
    """
    statements(profile)
    server = find()
    data = _data(profile, server)
    if not data.is_dir():
        server.create(data)


def command(profile: Profile) -> Command:
    """The server on 127.0.0.1. Each start makes the database and the user, with the password of the moment.

    The SQL for that comes through a pipe that the server inherits: the password is in no file and no argument.
    No Unix socket: its path would have to be shorter than 108 bytes, and nothing here uses it.
    """
    server = find()
    return Command(
        [
            *server.arguments(_data(profile, server)),
            "--bind-address=127.0.0.1",
            f"--port={_port(profile)}",
            "--socket=",
            f"--init-file=/dev/fd/{inherited(statements(profile))}",
        ]
    )


def probe(profile: Profile) -> None:
    """Ask the server something as the application's user; raises NotReady."""
    _data_directory(profile)


def owned(profile: Profile) -> None:
    """Raise NotReady unless the server that answers keeps its data where this stack does."""
    found, data = _data_directory(profile), _data(profile, find())
    if Path(found).resolve() != data.resolve():
        raise NotReady(f"{_where(profile)}: another MySQL server answers, with its data in {found}", _fix(profile))


def initialise(profile: Profile, say: Say) -> None:
    """Load the source tables unless they are there."""
    # Here, because Faker, which makes the rows, takes half a second to import, which every other command would pay.
    from services.mysql.load import load

    load(profile, say)


def _data_directory(profile: Profile) -> str:
    try:
        with connect(profile, timeout=3) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT @@datadir")
            row = cursor.fetchone()
    except pymysql.Error as error:
        code = error.args[0] if error.args else None
        fix = "" if code in (CR.CR_CONN_HOST_ERROR, CR.CR_SERVER_LOST) else _fix(profile)
        raise NotReady(f"{_where(profile)}: {error.args[-1] if error.args else error}", fix) from None
    return str(row[0]) if row else ""


def _where(profile: Profile) -> str:
    return f"MySQL on 127.0.0.1:{_port(profile)}"


def _fix(profile: Profile) -> str:
    return (
        f"if another server holds the port, stop it or change database.url in {profile.path}; "
        "if the password changed since the start, `make up` applies it"
    )


def _port(profile: Profile) -> int:
    url = profile.database.engine_url
    if url.host not in loopback.SERVED:
        raise ProfileError(
            f"{profile.path}: database.url: {url.host} is not this machine, yet stack.services starts MySQL here",
            "take mysql out of stack.services, and your own database is used as it is",
        )
    return url.port or 3306


def _data(profile: Profile, server: Server) -> Path:
    # MariaDB and MySQL cannot open each other's files.
    return profile.home / "mysql" / ("mariadb" if server.mariadb else "mysql")


def inherited(content: str) -> int:
    """A file descriptor, kept across exec, that gives the content and then ends."""
    reader, writer = os.pipe()
    os.write(writer, content.encode())
    os.close(writer)
    os.set_inheritable(reader, True)
    return reader


SERVICE = Service(
    name="mysql",
    title="MySQL (MariaDB where no MySQL is installed)",
    ports=lambda profile: [_port(profile)],
    command=command,
    settings=lambda profile: (_port(profile), statements(profile)),
    probe=probe,
    memory=0.2,
    owned=owned,
    prepare=prepare,
    initialise=initialise,
)
