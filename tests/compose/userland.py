"""A base image for our own Dockerfiles where no registry can be reached: a small Debian with Python and Java.

Unpacked from the packages of this machine's release; what their installation scripts would do and these images need
(links, users, the linker's cache, certificates) is done here. `docker compose build` takes it as the argument BASE.
"""

from __future__ import annotations

import io
import json
import os
import shlex
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from foundation.profile import ROOT
from pinflow.stack import images
from tests.compose import debian
from tests.compose.image import Docker

NAME = "pinflow/userland:0.1.0"
PACKAGES = (
    "base-files", "base-passwd", "libc-bin", "dash", "bash", "coreutils", "debianutils", "sed", "grep", "findutils",
    "tar", "gzip", "util-linux", "passwd", "login", "procps", "curl", "ca-certificates", "python3", "python3-venv",
    "openjdk-17-jre-headless",
)  # fmt: skip
# How this machine reaches package registries: given to a build as a secret, which stays out of the image.
OWN_WAY = ("PIP_", "UV_", "SSL_CERT_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")


def make(docker: Docker, home: Path) -> None:
    """Import the image into the engine; raises NoEngine where the packages cannot be had."""
    root = home / "userland"
    if not root.is_dir():
        partial = home / "userland.partial"
        shutil.rmtree(partial, ignore_errors=True)
        _fill(partial)
        partial.rename(root)
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        tar.add(root, ".")
    docker("import", "-", NAME, stdin=content.getvalue(), timeout=300)


def build(docker: Docker, service: str) -> str:
    """Build services/<service>/Dockerfile on that userland; returns the image's name. Raises NoEngine."""
    name = f"pinflow/{service}:0.1.0"
    command = ["buildx", "build", "--network", "host", "--progress", "plain", "--build-arg", f"BASE={NAME}"]
    with tempfile.NamedTemporaryFile("w") as secret:  # readable by its owner only
        secret.write(_own_way())
        secret.flush()
        command += ["--secret", f"id=packages,src={secret.name}", "--tag", name]
        command += ["--label", f"{images.LABEL}={_inputs(docker, service)}"]
        docker(*command, "--file", str(ROOT / "services" / service / "Dockerfile"), str(ROOT), timeout=600)
    return name


def _inputs(docker: Docker, service: str) -> str:
    """What `make up` compares an image with: without it, it would build from a registry."""
    file = str(ROOT / "docker-compose.yml")
    defined = json.loads(docker("compose", "--file", file, "--profile", "everything", "config", "--format", "json"))
    return images.inputs(defined["services"][service]["build"])


def _own_way() -> str:
    """The secret `packages` of the Dockerfiles: lines for a shell."""
    return "".join(f"{k}={shlex.quote(v)}\n" for k, v in os.environ.items() if k.startswith(OWN_WAY))


def _fill(root: Path) -> None:
    root.mkdir(parents=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    debian.unpack_with_dependencies(PACKAGES, root)
    etc = root / "etc"
    for name in ("passwd", "group"):
        shutil.copy(root / "usr/share/base-passwd" / f"{name}.master", etc / name)
    for name in ("shadow", "gshadow", "subuid", "subgid"):
        (etc / name).touch()
    # Certificates as this machine trusts them, Java's too.
    shutil.rmtree(etc / "ssl", ignore_errors=True)
    shutil.copytree("/etc/ssl", etc / "ssl", symlinks=True, ignore=shutil.ignore_patterns("private"))
    shutil.copytree("/usr/share/ca-certificates", root / "usr/share/ca-certificates", dirs_exist_ok=True)
    shutil.copytree("/usr/local/share/ca-certificates", root / "usr/local/share/ca-certificates", dirs_exist_ok=True)
    java = next((root / "usr/lib/jvm").glob("java-17-openjdk-*"))
    (root / "usr/bin/java").symlink_to(f"../lib/jvm/{java.name}/bin/java")
    (root / "usr/bin/python").symlink_to("python3")
    (root / "tmp").chmod(0o1777)
    subprocess.run(["ldconfig", "-r", str(root)], check=True)
