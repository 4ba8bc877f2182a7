"""The images of docker-compose.yml: pulled, or built from this repository and rebuilt when its files change."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import IO, Any

from foundation.errors import PinflowError
from foundation.profile import ROOT
from foundation.service import Say

# The label of an image that was built here: a digest of its inputs, which docker-compose.yml takes from PINFLOW_INPUTS.
LABEL = "pinflow.inputs"
# Seconds for one image: a gigabyte or more over a slow connection.
LONGEST = 2 * 3600.0
REPORT_INTERVAL = 15.0


class NoImages(PinflowError):
    """A Docker engine answers, but an image is missing and can be neither pulled nor built."""


def get(definitions: Mapping[str, Any], environment: Mapping[str, str], say: Say) -> None:
    """Pull or build the missing image of each service, as `docker compose config` defines it. Raises NoImages.

    An image that is built here is rebuilt when its files have changed. If that fails, the old image is used, with a
    message.
    """
    for name, definition in definitions.items():
        image, build = definition["image"], definition.get("build")
        # An override file may name another image and leave our `build` in place.
        wanted = inputs(build) if build and image.startswith(f"pinflow/{name}:") else ""
        labels = _labels(image)
        if labels is not None and (not wanted or labels.get(LABEL) == wanted):
            continue
        missing = f"no image {image} here" if labels is None else f"{image} was built from older files"
        way = "build" if build else "pull"
        say(f"{name:<12} {missing}: {way}ing it, which takes minutes the first time")
        problem = _fetch(way, name, {**environment, "PINFLOW_INPUTS": wanted}, say)
        if problem and labels is not None:
            say(f"{name:<12} could not be rebuilt ({problem}): using the image that was built from older files")
        elif problem:
            raise NoImages(
                f"{name}: {missing}, and `docker compose {way} {name}` {problem}",
                "check that Docker reaches its registry (Docker has its own proxy settings), or run without images: "
                "make up RUNTIME=native",
            )


def inputs(build: Mapping[str, Any]) -> str:
    """A digest of everything that a build reads here: the Dockerfile, its arguments, the files that it copies."""
    context, arguments = Path(build["context"]), build.get("args") or {}
    dockerfile = context / build["dockerfile"]
    text = dockerfile.read_text(encoding="utf-8")
    digest = hashlib.sha256(json.dumps([text, arguments], sort_keys=True).encode())
    defaults = dict(re.findall(r"^ARG (\w+)=(\S+)$", text, re.MULTILINE))
    for copied in re.findall(r"^COPY (.+)$", text, re.MULTILINE):
        *sources, _ = copied.split()
        for source in sources:
            for file in _files(context / Template(source).substitute(defaults | arguments)):
                content = hashlib.sha256(file.read_bytes()).hexdigest()
                digest.update(f"{file.relative_to(context)} {content}\n".encode())
    return digest.hexdigest()[:16]


def _files(path: Path) -> list[Path]:
    """The file, or all files of the directory except those that .dockerignore excludes everywhere."""
    if path.is_file():
        return [path]
    return sorted(file for file in path.rglob("*") if file.is_file() and "__pycache__" not in file.parts)


def _labels(image: str) -> dict[str, str] | None:
    """The labels of an image; None if there is no such image."""
    done = subprocess.run(["docker", "image", "inspect", image], capture_output=True, text=True, check=False)
    found = json.loads(done.stdout) if done.returncode == 0 else []
    return (found[0]["Config"].get("Labels") or {}) if found else None


def _fetch(way: str, name: str, environment: Mapping[str, str], say: Say) -> str:
    """Build or pull, and pass on Docker's progress; returns what went wrong, or an empty text."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            ["docker", "compose", way, name],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        began = time.monotonic()
        try:
            while (waited := time.monotonic() - began) < LONGEST:
                try:
                    return f"failed: {_last_line(output)}" if process.wait(REPORT_INTERVAL) else ""
                except subprocess.TimeoutExpired:
                    say(f"{name:<12} {way}ing, {waited + REPORT_INTERVAL:.0f} s: {_last_line(output)}")
            return f"did not finish within {LONGEST / 60:.0f} min: {_last_line(output)}"
        finally:
            process.terminate()
            process.wait()


def _last_line(output: IO[bytes]) -> str:
    # pread: Docker writes at the position of this very file, and a seek would move it.
    end = os.fstat(output.fileno()).st_size
    text = os.pread(output.fileno(), 4096, max(0, end - 4096)).decode(errors="replace").strip()
    return text.splitlines()[-1].strip() if text else "no output"
