"""What start.sh and the mysql image's entrypoint do, with the MariaDB of .pinflow: data, database, user, server."""

from __future__ import annotations

import os
from pathlib import Path

from services.mysql.native import inherited
from services.mysql.server import find

DATA = Path("/var/lib/mysql/mariadb")


def main() -> None:
    server = find()
    if not DATA.is_dir():
        server.create(DATA)
    command = [*server.arguments(DATA), "--bind-address=0.0.0.0", "--port=3306", "--socket="]
    command.append(f"--init-file=/dev/fd/{inherited(os.environ['PINFLOW_ACCOUNTS'])}")
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
