"""A Docker engine out of Debian's packages, unpacked into a private directory; nothing is installed.

`dockerd`, its command line and its plugins come from the release ENGINE_FROM; `runc` and `iptables`, which must fit the
kernel and its tables, from the machine's own release. apt's own sources of this machine say where from.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.compose.errors import NoEngine

ENGINE_FROM = "trixie"
ENGINE = ("docker.io", "docker-cli", "containerd", "docker-compose", "docker-buildx", "tini")
OWN = ("runc", "iptables", "libip4tc2", "libip6tc2", "libxtables12", "libnftnl11", "libnfnetlink0", "libmnl0")
OWN_TOO = ("libnetfilter-conntrack3",)
KEYRING = "debian-archive-keyring"
SUPPORTED = ("bookworm", "trixie")
# Seconds for one call of apt-get: 93 MB are downloaded in one second to minutes.
PATIENCE = 300


def unpacked(home: Path) -> Path:
    """``home``/bin with every program that an engine needs, downloaded and unpacked where it is not there yet.

    Raises NoEngine.
    """
    whole = home / "packages"
    if not whole.is_dir():
        check_machine()
        partial = home / "packages.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        _download(partial)
        partial.rename(whole)
    return _programs(whole, home / "bin")


def unpack_with_dependencies(packages: Sequence[str], target: Path) -> None:
    """Unpack packages of the machine's release and all that they need; raises NoEngine."""
    apt = _Apt(target.with_name(f"{target.name}.apt"))
    apt.add_sources(codename(), codename(), keyring=None)
    apt.update()
    apt.unpack_all(packages, target)
    shutil.rmtree(apt.home)


def check_machine() -> None:
    """Raise NoEngine that says what of this machine does not allow an engine."""
    if platform.system() != "Linux":
        raise NoEngine(f"this is {platform.system()}; use Docker Desktop, colima or the like")
    if os.geteuid() != 0:
        raise NoEngine("only root may start one; use the machine's own")
    if codename() not in SUPPORTED:
        raise NoEngine(f"its packages are for Debian {' and '.join(SUPPORTED)}, and this is {codename() or 'another'}")
    for program in ("apt-get", "dpkg", "ip"):
        if shutil.which(program) is None:
            raise NoEngine(f"there is no `{program}` on PATH")


def codename() -> str:
    """The machine's release, as /etc/os-release has it."""
    release = Path("/etc/os-release")
    found = re.search(r"^VERSION_CODENAME=(\w+)", release.read_text(), re.MULTILINE) if release.exists() else None
    return found[1] if found else ""


def _download(partial: Path) -> None:
    own = codename()
    apt = _Apt(partial / "apt")
    apt.add_sources(own, own, keyring=None)
    apt.update()
    apt.unpack([f"{name}/{own}" for name in (*OWN, *OWN_TOO, KEYRING)], partial)
    # An older machine's keyring may lack the newer release's key; the keyring package of today has it.
    keyring = partial / "usr" / "share" / "keyrings" / "debian-archive-keyring.gpg"
    apt.add_sources(own, ENGINE_FROM, keyring)
    apt.update()
    apt.unpack([f"{name}/{ENGINE_FROM}" for name in ENGINE], partial)
    shutil.rmtree(partial / "apt")


class _Apt:
    """apt-get with a state of its own: it neither sees nor changes what is installed here."""

    def __init__(self, home: Path) -> None:
        self.home, self.sources, self.downloads = home, home / "sources", home / "downloads"
        for directory in ("state/lists/partial", "cache/archives/partial", "sources", "downloads"):
            (home / directory).mkdir(parents=True, exist_ok=True)
        (home / "state" / "status").touch()
        self.configuration = home / "apt.conf"
        self.configuration.write_text(
            f'Dir::State "{home}/state";\nDir::State::status "{home}/state/status";\nDir::Cache "{home}/cache";\n'
            f'Dir::Etc::sourcelist "/dev/null";\nDir::Etc::sourceparts "{self.sources}";\n'
            'Acquire::Languages "none";\nAcquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";\n'
            'Acquire::http::Timeout "20";\nAcquire::https::Timeout "20";\nAcquire::Retries "2";\n'
            'APT::Sandbox::User "root";\n'
        )

    def add_sources(self, own: str, wanted: str, keyring: Path | None) -> None:
        """The machine's own sources of its release ``own``, with the release ``wanted`` in its place."""
        found = 0
        for file in sorted(Path("/etc/apt/sources.list.d").glob("*.sources")):
            for stanza in re.split(r"\n\s*\n", file.read_text(errors="replace")):
                suites = re.search(r"^Suites:(.*)$", stanza, re.MULTILINE)
                if suites and all(_is_of(own, suite) for suite in suites[1].split()):
                    text = _exchanged(stanza, own, wanted)
                    if keyring:
                        text = re.sub(r"^Signed-By:.*$", f"Signed-By: {keyring}", text, flags=re.MULTILINE)
                    (self.sources / f"{wanted}-{found}.sources").write_text(f"{text}\n")
                    found += 1
        lists = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*.list"))]
        for file in (file for file in lists if file.is_file()):
            for line in file.read_text(errors="replace").splitlines():
                entry = re.match(r"deb\s+(?:\[[^]]*\]\s+)?\S+\s+(\S+)\s", f"{line} ")
                if entry and _is_of(own, entry[1]):
                    text = _exchanged(line, own, wanted)
                    if keyring:
                        text = re.sub(r"^deb\s+(?:\[[^]]*\])?", f"deb [signed-by={keyring}] ", text)
                    (self.sources / f"{wanted}-{found}.list").write_text(f"{text}\n")
                    found += 1
        if not found:
            raise NoEngine(f"/etc/apt names no source of Debian {own}")

    def update(self) -> None:
        self._run(["update", "-o", "APT::Update::Error-Mode=any"], "the lists of packages could not be fetched")

    def unpack(self, packages: list[str], target: Path) -> None:
        self._run(["download", *packages], "the packages could not be fetched")
        self._extract(self.downloads, target)

    def unpack_all(self, packages: Sequence[str], target: Path) -> None:
        # apt believes that nothing is installed, so it fetches every dependency; it installs none.
        options = ["-y", "--download-only", "--no-install-recommends", "-o", "Debug::NoLocking=1"]
        self._run(["install", *options, *packages], "the packages could not be fetched")
        self._extract(self.home / "cache" / "archives", target)

    def _extract(self, downloads: Path, target: Path) -> None:
        for package in sorted(downloads.glob("*.deb")):
            subprocess.run(["dpkg", "-x", str(package), str(target)], check=True)
            package.unlink()

    def _run(self, arguments: list[str], what: str) -> None:
        environment = {**os.environ, "APT_CONFIG": str(self.configuration), "LC_ALL": "C.UTF-8"}
        try:
            done = subprocess.run(
                ["apt-get", "-q", *arguments],
                cwd=self.downloads,
                env=environment,
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise NoEngine(f"{what} within {PATIENCE} s") from None
        if done.returncode:
            raise NoEngine(f"{what}:\n" + "\n".join(done.stderr.strip().splitlines()[-5:]))


def _is_of(release: str, suite: str) -> bool:
    return re.fullmatch(rf"{release}(-updates|-security)?", suite) is not None


def _exchanged(text: str, own: str, wanted: str) -> str:
    """The suites of another release; the address stays."""
    return re.sub(rf"(?<![\w./-]){own}(?=\b)", wanted, text)


def _programs(packages: Path, target: Path) -> Path:
    """One directory for PATH: links, and wrappers for what must find libraries of its own."""
    target.mkdir(parents=True, exist_ok=True)
    for folder in ("bin", "sbin"):
        for program in (packages / "usr" / folder).iterdir():
            if program.name.startswith(("docker", "containerd", "runc", "tini")):
                _link(target / program.name, program)
    _link(target / "docker-init", packages / "usr" / "bin" / "tini-static")
    plugins = target.parent / "client" / "cli-plugins"
    plugins.mkdir(parents=True, exist_ok=True)
    for plugin in (packages / "usr/libexec/docker/cli-plugins").iterdir():
        _link(plugins / plugin.name, plugin)
    libraries = next((packages / "usr" / "lib").glob("*-linux-gnu*"))
    for variant in ("nft", "legacy"):
        for name in ("iptables", "ip6tables", "iptables-save", "iptables-restore"):
            wrapper = target / name
            wrapper.write_text(
                f"#!/bin/sh\nexport LD_LIBRARY_PATH={libraries} XTABLES_LIBDIR={libraries}/xtables\n"
                f'exec {packages}/usr/sbin/xtables-{variant}-multi {name} "$@"\n'
            )
            wrapper.chmod(0o755)
        # What the kernel knows decides: a look at the tables that Docker writes to.
        tries = [[target / "iptables", "-w", "-t", table, "-S"] for table in ("filter", "nat")]
        if all(subprocess.run(t, capture_output=True, check=False).returncode == 0 for t in tries):
            return target
    raise NoEngine("the kernel lets neither iptables-nft nor iptables-legacy look at its tables")


def _link(name: Path, target: Path) -> None:
    name.unlink(missing_ok=True)
    name.symlink_to(target)
