"""The images of docker-compose.yml: pulled, or built from this repository, and anew when its files have changed."""

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

# Of an image that was built here: what it was made of. docker-compose.yml puts it there from PINFLOW_INPUTS.
LABEL = "pinflow.inputs"
# Seconds for one image: a gigabyte and more over a thin line.
LONGEST = 2 * 3600.0
SAID_EVERY = 15.0


class NoImages(PinflowError):
    """An engine answers, but an image is neither there nor to be pulled or built."""


def get(definitions: Mapping[str, Any], environment: Mapping[str, str], say: Say) -> None:
    """Have the image of each service, as `docker compose config` defines it. Raises NoImages.

    Those with a Dockerfile here are built where they are missing or of older files, the others pulled where missing. An
    image of older files stays where a new one cannot be built, and that is said.
    """
    for name, definition in definitions.items():
        image, build = definition["image"], definition.get("build")
        # An override may put another image in the place of ours, and leaves our `build` as it is.
        wanted = inputs(build) if build and image.startswith(f"pinflow/{name}:") else ""
        labels = _labels(image)
        if labels is not None and (not wanted or labels.get(LABEL) == wanted):
            continue
        missing = f"no image {image} here" if labels is None else f"{image} was built from older files"
        way = "build" if build else "pull"
        say(f"{name:<12} {missing}: {way}s it; minutes, the first time")
        problem = _fetch(way, name, {**environment, "PINFLOW_INPUTS": wanted}, say)
        if problem and labels is not None:
            say(f"{name:<12} could not be built anew ({problem}): goes on with the image of older files")
        elif problem:
            raise NoImages(
                f"{name}: {missing}, and `docker compose {way} {name}` {problem}",
                "can Docker reach its registry (proxy: Docker's own settings)? `make up RUNTIME=native` needs none",
            )


def inputs(build: Mapping[str, Any]) -> str:
    """A digest of all that a build takes from this repository: Dockerfile, arguments, the files that it copies."""
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
    """A file, or all in a directory but those that .dockerignore keeps out everywhere."""
    if path.is_file():
        return [path]
    return sorted(file for file in path.rglob("*") if file.is_file() and "__pycache__" not in file.parts)


def _labels(image: str) -> dict[str, str] | None:
    """The labels of an image; None where there is no such image."""
    done = subprocess.run(["docker", "image", "inspect", image], capture_output=True, text=True, check=False)
    found = json.loads(done.stdout) if done.returncode == 0 else []
    return (found[0]["Config"].get("Labels") or {}) if found else None


def _fetch(way: str, name: str, environment: Mapping[str, str], say: Say) -> str:
    """Build or pull, and pass on what Docker says now and then; returns what went wrong, or nothing."""
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
                    return f"failed: {_last_line(output)}" if process.wait(SAID_EVERY) else ""
                except subprocess.TimeoutExpired:
                    say(f"{name:<12} {way}s, {waited + SAID_EVERY:.0f} s: {_last_line(output)}")
            return f"did not end within {LONGEST / 60:.0f} min: {_last_line(output)}"
        finally:
            process.terminate()
            process.wait()


def _last_line(output: IO[bytes]) -> str:
    # pread: Docker writes at the position of this very file, which a seek would move.
    end = os.fstat(output.fileno()).st_size
    text = os.pread(output.fileno(), 4096, max(0, end - 4096)).decode(errors="replace").strip()
    return text.splitlines()[-1].strip() if text else "no output"
