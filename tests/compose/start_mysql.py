"""What the mysql image's entrypoint does, with the MariaDB of .pinflow: data directory, database, user, server."""

from __future__ import annotations

import os
from pathlib import Path

from services.mysql.native import accounts, inherited
from services.mysql.server import find

DATA = Path("/var/lib/mysql/mariadb")


def main() -> None:
    server, given = find(), os.environ
    if not DATA.is_dir():
        server.create(DATA)
    statements = accounts(given["MYSQL_DATABASE"], given["MYSQL_USER"], given["MYSQL_PASSWORD"])
    command = [*server.arguments(DATA), "--bind-address=0.0.0.0", "--port=3306", "--socket="]
    command.append(f"--init-file=/dev/fd/{inherited(statements)}")
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
