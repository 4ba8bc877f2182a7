"""Install what the pipeline needs into .pinflow: one venv per lock file, jars by checksum. Standard library only.

`python3 -m pinflow.install [--dev] [ENVIRONMENT | jars/LIST …]` runs on a bare Python, before any environment exists.
Without names it installs everything that runs without Docker; --dev adds the packages of a developer. What is current
is left alone.
"""

from __future__ import annotations

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - any Python 3 may run this file; tomllib, for one, came with 3.11
    sys.exit(
        f"Python {sys.version.split()[0]} ({sys.executable}) is too old: pinflow needs 3.11 or newer\n"
        "  → install a newer one, or name it: make PYTHON=/path/to/python3.12 …"
    )

import contextlib
import fcntl
import hashlib
import os
import re
import shlex
import shutil
import socket
import subprocess
import threading
import time
import venv
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit
from xml.sax.saxutils import quoteattr

from foundation.errors import PreflightError
from foundation.java import LOCALE, java
from foundation.paths import PACKAGES, ROOT, shown
from foundation.versions import PYTHONS

REQUIREMENTS = ROOT / "requirements"
ENVIRONMENTS = ("tool", "localstack", "spark")
KINESIS = PACKAGES / "envs" / "localstack" / "share", ROOT / "services/localstack/kinesis/package-lock.json"
# Ivy's own default repository, without POMs and their parents, which take ten times as long as the jars themselves;
# the jars are checked against our own checksums.
IVY_SETTINGS = """<ivysettings><settings defaultResolver="default"/><resolvers>
<ibiblio name="default" m2compatible="true" usepoms="false" useMavenMetadata="false" checksums=""/>
</resolvers></ivysettings>"""
_interrupted = threading.Event()


def main(wanted: list[str], profile: str = "local", developer: bool = False) -> None:
    """Install the named environments and lists of jars, or everything; raises PreflightError.

    ``profile`` says which version of Airflow belongs to everything. What a running stack uses is never replaced.
    """
    asked = [airflow(profile) if name == "airflow" else name for name in wanted if not name.startswith("jars/")]
    names = asked if wanted else [*ENVIRONMENTS, *chosen(profile)]
    if unknown := set(names) - set(PYTHONS):
        raise PreflightError(f"no such environment: {', '.join(unknown)}", f"name one of {', '.join(PYTHONS)}")
    names = [name for name in names if not _runs_in(environment(name)[0])]  # or it would delete itself
    lists = [name.removeprefix("jars/") for name in wanted if name.startswith("jars/")] if wanted else jar_lists()
    if lists:
        java()  # before minutes are spent on the rest
        if "spark" not in names:
            names.append("spark")  # Ivy comes with pyspark
    with lock():
        if not may_replace(names, lists):
            return
        install_bootstrap()
        pythons = {name: find_python(name) for name in names if not is_current(name)}
        with ThreadPoolExecutor() as pool:
            try:
                environments = {name: pool.submit(install_environment, name, pythons.get(name)) for name in names}
                jobs = list(environments.values())
                jobs += [pool.submit(install_jars, name, environments["spark"]) for name in lists]
                if developer:
                    jobs += [pool.submit(install_developers, name, environments[name]) for name in names]
                if not wanted:
                    jobs.append(pool.submit(install_kinesis, environments["localstack"]))
                for job in jobs:
                    job.result()
            except KeyboardInterrupt:  # while jobs are still being handed out, too
                _interrupted.set()  # leaving the pool waits for its threads, which start their next command otherwise
                raise


def may_replace(names: list[str], lists: list[str]) -> bool:
    """Whether to install at all: False where a running stack keeps the tool's environment from being replaced.

    `make down` needs that environment, so one of an older lock file must do. Raises PreflightError, which names the
    stack and how to stop it, for anything else that a running stack may be using.
    """
    outdated = {f"environment {name}": environment(name)[0] for name in names if not is_current(name)}
    outdated |= {f"jars {name}": jars(name)[0] for name in lists if not is_stamped(*jars(name))}
    if "localstack" in names and not is_stamped(*KINESIS):
        outdated["Kinesis for LocalStack"] = KINESIS[0]
    outdated = {what: home for what, home in outdated.items() if _stamp(home)}  # the rest is not there yet
    stacks = running_stacks() if outdated else {}
    if not stacks:
        return True
    pythons = {_stamp(home)[0] for what, home in outdated.items() if what.startswith("environment")} - {
        python_version()
    }
    why, by = "requirements have changed", ""
    if pythons:
        why = f"installed with Python {', '.join(pythons)}, this is {python_version()} ({sys.executable})"
        by = "PYTHON=.pinflow/envs/bootstrap/bin/python "  # also where the shell exports another one
    where = " and ".join(f"the stack in {home}" for home in stacks)
    what = f"{', '.join(outdated)}: {why}; not replaced, because {where} is running"
    fix = " && ".join(f"make {by}down PROFILE={profile}" for profile in stacks.values()) + ", then run this again"
    if names == ["tool"] and not lists and not pythons:
        say(f"{what}\n  → {fix}")
        return False
    raise PreflightError(what, fix)


def running_stacks() -> dict[Path, str]:
    """The directory of each stack that runs as plain processes, and what to give as PROFILE to stop it."""
    return {home: profile_of(home) for home in stack_homes() if _runs(home)}


def stack_homes() -> list[Path]:
    """The directories in which a stack was ever started as plain processes: those of .pinflow, and those linked there.

    .pinflow/NAME, .pinflow/tests/NAME, and .pinflow/stacks/ID, a link to wherever stack.directory is.
    """
    files = (file for depth in ("*", "*/*") for file in PACKAGES.glob(f"{depth}/supervisor/supervisord.conf"))
    return sorted({file.parent.parent.resolve() for file in files})


def profile_of(home: Path) -> str:
    """What to give as PROFILE for the stack in this directory."""
    file = launched_with(home)
    return shown(file) if file else home.name


def launched_with(home: Path) -> Path | None:
    """The profile that the stack in this directory was started with, if it ever was: by supervisord's own commands."""
    with contextlib.suppress(FileNotFoundError):
        for line in (home / "supervisor" / "supervisord.conf").read_text(encoding="utf-8").splitlines():
            if line.startswith("command="):
                return Path(shlex.split(line.removeprefix("command=").replace("%%", "%"))[-1])
    return None


def _runs(home: Path) -> bool:
    """Whether its supervisord answers, or a service lives that a killed supervisord left behind."""
    configuration = (home / "supervisor" / "supervisord.conf").read_text(encoding="utf-8")
    address = re.search(r"^file=(.+)$", configuration, re.MULTILINE)
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
        here = str(home / "supervisor")
        client.connect(address[1].replace("%(here)s", here).replace("%%", "%") if address else "")
        return True
    for file in (home / "run").glob("*.pid"):
        # Another process may have this number by now: then `make down` deletes the file.
        with contextlib.suppress(OSError, ValueError, IndexError):
            os.kill(int(file.read_text().split()[0]), 0)
            return True
    return False


def chosen(profile: str) -> list[str]:
    """The environment of Airflow's version in a profile, by its name or path, where that profile starts Airflow."""
    starts = re.search(r"\bairflow\b", _sections(profile).get("stack", "").partition("services:")[2])
    return [airflow(profile)] if starts else []


def airflow(profile: str) -> str:
    """The environment of Airflow's version in a profile; raises PreflightError where it names none."""
    version = re.search(r"\bversion:\s*[\"']?([\d.]+)", _sections(profile).get("airflow", ""))
    if version is None:
        raise PreflightError("PROFILE: no such profile, or no airflow.version in it", "bin/pinflow profile init")
    return f"airflow-{version[1]}"


def _sections(name: str) -> dict[str, str]:
    """The text of each section of a profile; none of one that is not there: the next command says so."""
    profile = Path(name) if name.endswith((".yaml", ".yml")) else ROOT / "profiles" / f"{name}.yaml"
    if not profile.is_file():
        return {}
    # No YAML parser on a bare Python: sections begin at the margin.
    return dict(
        re.findall(r"^(\w+):(.*(?:\n(?!\w).*)*)", profile.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
    )


def jar_lists() -> list[str]:
    """The jar lists that this machine needs: MariaDB's only where no server is on PATH."""
    lists = ["kafka", "spark"]
    if shutil.which("mariadbd") is None and shutil.which("mysqld") is None:
        server = f"mariadb-{sys.platform}-{os.uname().machine}"
        if not (REQUIREMENTS / "jars" / f"{server}.txt").is_file():
            raise PreflightError(
                f"MySQL: no mysqld or mariadbd on PATH, and no packaged server ({server}) for this machine",
                "install one (macOS: brew install mariadb; Debian, Ubuntu: apt install mariadb-server-core)",
            )
        lists.append(server)
    return lists


def install_bootstrap() -> None:
    """A venv with uv in it, which makes the other environments ten times faster than pip does."""
    home, lock_file = environment("bootstrap")
    if is_stamped(home, lock_file) and _stamp(home)[0] == python_version() and has_python(home):
        return
    say(f"found Python {sys.version.split()[0]} at {interpreter()}")
    with step("installer"):
        shutil.rmtree(home, ignore_errors=True)
        try:
            venv.create(home, symlinks=True, with_pip=True)
        except subprocess.CalledProcessError:
            raise PreflightError(
                "a virtual environment could not be made: this Python lacks ensurepip",
                "Debian, Ubuntu: apt install python3-venv",
            ) from None
        run([home / "bin/python", "-m", "pip", "install", "-q", "--require-hashes", "-r", lock_file], "pip")
        stamp(home, lock_file)


def find_python(name: str) -> Path:
    """The interpreter for an environment: this one if it fits, else one on PATH or of pyenv, else one that uv fetches.

    Raises PreflightError where none fits and none can be fetched.
    """
    if _fits(python_version(), name):
        return interpreter()
    oldest, newest = PYTHONS[name]
    versions = f"Python {oldest}" if oldest == newest else f"Python {oldest} to {newest}"
    uv = [PACKAGES / "envs/bootstrap/bin/uv", "python"]
    minor = int(newest.partition(".")[2])
    # Without -q, with which uv does not print the path either.
    find = [*uv, "find", "--system", "--no-project", "--no-python-downloads", f">={oldest},<3.{minor + 1}"]
    try:
        found = run(find, f"{versions} for {name}").strip()
    except PreflightError:
        say(f"{name} needs {versions}, this is {python_version()}, and no other was found: fetching Python {newest} …")
        try:
            run([*uv, "install", "-q", "--no-bin", newest], "uv")
            found = run(find, f"{versions} for {name}").strip()
        except PreflightError as error:
            raise PreflightError(
                f"{name} needs {versions}; none was found, and none could be fetched: {error.what}",
                f"install python{newest} (Debian, Ubuntu: apt install python{newest}-venv; macOS: brew install "
                f"python@{newest}; anywhere: pyenv install {newest}), then run this again",
            ) from None
    say(f"{name} needs {versions}, this is {python_version()}: using {found}")
    return Path(found)


def install_environment(name: str, python: Path | None) -> None:
    """The venv .pinflow/envs/<name> of this interpreter with just what requirements/<name>.txt locks.

    ``python`` None: the environment is current.
    """
    home, lock_file = environment(name)
    if python is None:
        return
    with step(f"environment {name}"):
        uv = PACKAGES / "envs/bootstrap/bin/uv"
        run([uv, "venv", "-q", "--clear", "--python", python, home], f"{name}: venv")
        sync = [uv, "pip", "sync", "-q", "--require-hashes", "--python", home / "bin/python", lock_file]
        run(sync, f"{name}: packages of {lock_file.name}")
        stamp(home, lock_file, _version_of(python))


def install_developers(name: str, environment_made: Future[None]) -> None:
    """On top of an environment what requirements/<name>-dev.txt locks, if there is such a list: tests and linters."""
    environment_made.result()
    home, lock_file = environment(name)[0], REQUIREMENTS / f"{name}-dev.txt"
    if not lock_file.is_file() or is_stamped(home, lock_file, ".installed-dev"):
        return
    with step(f"developer's packages of {name}"):
        uv = PACKAGES / "envs/bootstrap/bin/uv"
        add = [uv, "pip", "install", "-q", "--require-hashes", "--python", home / "bin/python", "-r", lock_file]
        run(add, f"{name}: packages of {lock_file.name}")
        stamp(home, lock_file, marker=".installed-dev")


def install_jars(name: str, spark: Future[None]) -> None:
    """The jars of requirements/jars/<name>.txt, by Ivy (which pyspark brings), each with its checksum."""
    home, listed = jars(name)
    if is_stamped(home, listed):
        return
    spark.result()
    with step(f"jars {name}"):
        incoming = home.with_name(f"{name}.incoming")
        shutil.rmtree(incoming, ignore_errors=True)
        incoming.mkdir(parents=True)
        entries = [line.split() for line in listed.read_text().splitlines() if line and not line.startswith("#")]
        module, settings = incoming / "ivy.xml", incoming / "settings.xml"
        module.write_text(ivy_module(name, [coordinates for coordinates, _ in entries]))
        settings.write_text(IVY_SETTINGS)
        ivy = next((PACKAGES / "envs/spark/lib").glob("python*/site-packages/pyspark/jars/ivy-*.jar"))
        command = [java(), *java_proxy(), f"-Divy.home={PACKAGES / 'ivy' / name}", "-jar", ivy, "-settings", settings]
        command += ["-ivy", module, "-warn", "-retrieve", f"{incoming}/[artifact]-[revision].[ext]"]
        run(command, f"jars of {listed.name}")
        module.unlink()
        settings.unlink()
        for coordinates, checksum in entries:
            check_jar(incoming, coordinates, checksum)
        shutil.rmtree(home, ignore_errors=True)
        incoming.rename(home)
        shutil.rmtree(PACKAGES / "ivy" / name, ignore_errors=True)
        stamp(home, listed)


def install_kinesis(localstack: Future[None]) -> None:
    """LocalStack fetches its Kinesis on the first call; fetch it now, so that nothing is fetched at run time."""
    localstack.result()
    home, lock_file = KINESIS
    if is_stamped(home, lock_file):
        return
    with step("Kinesis for LocalStack"):
        run([home.parent / "bin/python", ROOT / "services/localstack/install.py"], "Kinesis for LocalStack")
        stamp(home, lock_file)


def ivy_module(name: str, coordinates: list[str]) -> str:
    """An Ivy module that names each jar itself: nothing is resolved transitively, so it takes seconds."""
    dependencies = []
    for group, artifact, version in (c.split(":") for c in coordinates):
        attributes = f"org={quoteattr(group)} name={quoteattr(artifact)} rev={quoteattr(version)}"
        dependencies.append(f'<dependency {attributes} conf="default" transitive="false"/>')
    return (
        f'<ivy-module version="2.0"><info organisation="pinflow" module={quoteattr(name)}/>'
        f'<configurations><conf name="default"/></configurations>'
        f"<dependencies>{''.join(dependencies)}</dependencies></ivy-module>"
    )


def check_jar(directory: Path, coordinates: str, checksum: str) -> None:
    _, artifact, version = coordinates.split(":")
    jar = directory / f"{artifact}-{version}.jar"
    found = f"sha256:{hashlib.sha256(jar.read_bytes()).hexdigest()}" if jar.is_file() else "nothing"
    if found != checksum:
        raise PreflightError(f"{coordinates}: expected {checksum}, got {found}; the download was not used")


def java_proxy() -> list[str]:
    """Java does not read the proxy variables that pip and uv follow."""
    proxy = urlsplit(os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy") or "")
    if not proxy.hostname:
        return []
    return [f"-Dhttps.proxyHost={proxy.hostname}", f"-Dhttps.proxyPort={proxy.port or 3128}"]


def environment(name: str) -> tuple[Path, Path]:
    """Where an environment is, and the lock file that it is made from."""
    return PACKAGES / "envs" / name, REQUIREMENTS / f"{name}.txt"


def jars(name: str) -> tuple[Path, Path]:
    """Where the jars of a list are, and the list."""
    return PACKAGES / "jars" / name, REQUIREMENTS / "jars" / f"{name}.txt"


def is_current(name: str) -> bool:
    """Whether an environment is of its lock file, and of this Python if that fits it, else of one that does."""
    home, lock_file = environment(name)
    if not (is_stamped(home, lock_file) and has_python(home)):
        return False
    python = _stamp(home)[0]
    return python == python_version() or (_fits(python, name) and not _fits(python_version(), name))


def has_python(home: Path) -> bool:
    """Whether the interpreter that an environment was made from is still there: its own is a link to that one."""
    return (home / "bin" / "python").exists()


def is_stamped(home: Path, source: Path, marker: str = ".installed") -> bool:
    """Whether ``home`` was completed from this very ``source``."""
    return _stamp(home, marker)[1:] == [_digest(source)]


def stamp(home: Path, source: Path, python: str = "", marker: str = ".installed") -> None:
    """Write down that ``home`` is complete: of which Python, this one if none is given, and of which ``source``."""
    home.mkdir(parents=True, exist_ok=True)
    (home / marker).write_text(f"{python or python_version()} {_digest(source)}")


def _stamp(home: Path, marker: str = ".installed") -> list[str]:
    """Python's version and the digest of the source; nothing where ``home`` was not completed."""
    with contextlib.suppress(FileNotFoundError):
        return (home / marker).read_text().split()
    return []


def _digest(source: Path) -> str:
    return hashlib.sha256(source.read_bytes()).hexdigest()


def _fits(python: str, name: str) -> bool:
    """Whether an environment can be made of a Python ("3.12")."""
    oldest, version, newest = (tuple(map(int, v.split("."))) for v in (PYTHONS[name][0], python, PYTHONS[name][1]))
    return oldest <= version <= newest


def _version_of(python: Path) -> str:
    """The version ("3.12") of an interpreter, by the name of the file that its links lead to."""
    found = re.search(r"python(3\.\d+)", python.resolve().name)
    return found[1] if found else python_version()


def _runs_in(home: Path) -> bool:
    """Whether this very program is run by the interpreter of an environment."""
    return Path(sys.prefix).resolve() == home.resolve()


def interpreter() -> Path:
    """The interpreter itself, where this one is an environment's: that environment may be deleted one day."""
    in_environment = sys.prefix != sys.base_prefix
    return Path(sys.base_prefix, "bin", f"python{python_version()}") if in_environment else Path(sys.executable)


def python_version() -> str:
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def run(command: Sequence[object], what: str) -> str:
    """Run a command quietly and return its output; if it fails, its last lines become the error.

    Ctrl-C ends it, whichever thread waits for it.
    """
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv", "versions")
    variables = {
        # uv reads none of pip's settings: hand over those that say where and how packages are reached.
        "SSL_CERT_FILE": os.environ.get("PIP_CERT", ""),
        "UV_DEFAULT_INDEX": os.environ.get("PIP_INDEX_URL", ""),
        "UV_PYTHON_INSTALL_DIR": str(PACKAGES / "pythons"),
    }
    variables = {k: v for k, v in variables.items() if v and k not in os.environ} | {**os.environ, **LOCALE}
    # pyenv has on PATH only the versions that are switched on here; uv skips its links to the others.
    variables["PATH"] = os.pathsep.join([variables.get("PATH", ""), *map(str, sorted(pyenv.glob("3.*/bin")))])
    pipe = subprocess.PIPE
    with subprocess.Popen([str(c) for c in command], stdout=pipe, stderr=pipe, text=True, env=variables) as process:
        printed = None
        try:
            while printed is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    printed = process.communicate(timeout=0.2)
                if _interrupted.is_set():
                    process.terminate()
        except KeyboardInterrupt:
            process.kill()
            raise
    if process.returncode:
        last = "\n".join(f"    {line}" for line in "".join(printed).strip().splitlines()[-15:])
        raise PreflightError(
            f"{what}: failed with status {process.returncode}\n{last}",
            "check the network connection, then run this again",
        )
    return printed[0]


@contextlib.contextmanager
def step(what: str) -> Iterator[None]:
    say(f"installing {what} …")
    began = time.monotonic()
    yield
    say(f"installed {what} in {time.monotonic() - began:.0f} s")


@contextlib.contextmanager
def lock() -> Iterator[None]:
    """Two commands at once must not install into the same place: the second waits."""
    PACKAGES.mkdir(exist_ok=True)
    with (PACKAGES / "install.lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another installation is running; waiting for it …")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    try:
        names = [argument for argument in sys.argv[1:] if argument != "--dev"]
        main(names, os.environ.get("PROFILE") or "local", developer="--dev" in sys.argv)
    except PreflightError as problem:
        sys.exit(str(problem))
    except KeyboardInterrupt:
        sys.exit("interrupted; run the same command again: it continues from here")
