"""The one image of docker-compose.packages.yml: 1 MB of /etc and empty directories, made by `docker import`.

Programs and packages are this machine's own, mounted read-only by the compose file. What an official image brings and
a health check calls, and Python does not bring, is in rootfs/: `mysql`, in a directory of PATH.
"""

from __future__ import annotations

import io
import os
import sys
import tarfile
from pathlib import Path
from typing import Protocol

from foundation import versions
from foundation.java import java
from foundation.paths import ROOT

NAME = "pinflow/packages:0.1.0"
ROOTFS = Path(__file__).resolve().parent / "rootfs"
COMPOSE_FILES = ("docker-compose.yml", "docker-compose.packages.yml")
PATH = "/opt/python/bin:/opt/pinflow-image/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
# As in every Debian since its tenth release, and in the mounted /usr.
LINKS = {"bin": "usr/bin", "lib": "usr/lib", "lib64": "usr/lib64"}
# Mount points, and what a named volume takes over: owner and group of the official images.
DIRECTORIES = {
    **dict.fromkeys(("usr", "sbin", "run", "home", "root", "opt", "dev", "proc", "sys", "var", "var/lib"), (0, 0)),
    **dict.fromkeys(("tmp", "var/tmp"), (0, 0)),
    **dict.fromkeys(("var/lib/mysql", "var/lib/localstack"), (0, 0)),
    **dict.fromkeys(("var/lib/kafka", "var/lib/kafka/data", "databricks", "workspace"), (1000, 1000)),
    "opt/airflow": (50000, 0),
}
# The C library, TLS and Java look here.
ETC = ("nsswitch.conf", "ssl", "alternatives", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "mime.types")
USERS = """\
root:x:0:0:root:/root:/bin/sh
pinflow:x:1000:1000::/tmp:/bin/sh
airflow:x:50000:0::/opt/airflow:/bin/sh
"""


class Docker(Protocol):
    def __call__(self, *arguments: str, timeout: float = 120, stdin: bytes | None = None) -> str: ...


def make(docker: Docker) -> None:
    """Import the image into the engine."""
    docker("import", "--change", f"ENV PATH={PATH}", "--change", "WORKDIR /opt/pinflow", "-", NAME, stdin=archive())


def environment() -> dict[str, str]:
    """What docker-compose.packages.yml asks for: where Python, Java and our environments are; and that it is taken."""
    return {
        "COMPOSE_FILE": ":".join(COMPOSE_FILES),
        "PINFLOW_PYTHON_HOME": _outside_usr(Path(sys.base_prefix).resolve(), "/usr/lib"),
        "PINFLOW_LOCALSTACK_PYTHON_HOME": _home_of("localstack"),
        "PINFLOW_AIRFLOW_PYTHON_HOME": _home_of(f"airflow-{os.environ.get('AIRFLOW_VERSION', versions.AIRFLOW[0])}"),
        "PINFLOW_JAVA_HOME": _outside_usr(java_home(), "/usr/share"),
        "PINFLOW_ENVIRONMENTS": str(ROOT / ".pinflow" / "envs"),
    }


def _home_of(environment: str) -> str:
    """Where the Python of an environment is: not always the tool's."""
    return _outside_usr((ROOT / ".pinflow/envs" / environment / "bin/python").resolve().parent.parent, "/usr/lib")


def java_home() -> Path:
    """The directory with the bin/ of the machine's java."""
    return java().resolve().parent.parent


def _outside_usr(directory: Path, else_: str) -> str:
    # /usr is mounted as a whole; a part of it once more is harmless, and the compose file needs no second form.
    return else_ if directory.is_relative_to("/usr") else str(directory)


def archive() -> bytes:
    """The image's files as a tar archive."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for name, owner in DIRECTORIES.items():
            tar.addfile(_entry(name, tarfile.DIRTYPE, owner, mode=0o1777 if name.endswith("tmp") else 0o755))
        for name, target in LINKS.items():
            entry = _entry(name, tarfile.SYMTYPE, (0, 0))
            entry.linkname = target
            tar.addfile(entry)
        for name in (*ETC, *(path.name for path in Path("/etc").glob("java-*"))):
            if Path("/etc", name).exists():
                tar.add(Path("/etc", name), f"etc/{name}")
        users = USERS.encode()
        entry = _entry("etc/passwd", tarfile.REGTYPE, (0, 0), mode=0o644)
        entry.size = len(users)
        tar.addfile(entry, io.BytesIO(users))
        # Files only: a path may stand in the archive once, and the directories are made for them.
        for file in sorted(path for path in ROOTFS.rglob("*") if path.is_file()):
            tar.add(file, str(file.relative_to(ROOTFS)), filter=_as_root)
    return content.getvalue()


def _entry(name: str, kind: bytes, owner: tuple[int, int], mode: int = 0o755) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, (entry.uid, entry.gid) = kind, mode, owner
    return entry


def _as_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    return entry
