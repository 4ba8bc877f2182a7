"""The installer: what it names, what it refuses."""

from __future__ import annotations

import ast
import hashlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import venv
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import packages_distributions
from pathlib import Path
from xml.etree import ElementTree

import pytest

from foundation.errors import PreflightError
from foundation.paths import ROOT
from pinflow import install
from tests.unit.test_java import fake_java, says

COMMAND = [sys.executable, "-m", "pinflow.install"]
LISTS = sorted((install.REQUIREMENTS / "jars").glob("*.txt"))


@pytest.mark.parametrize("lock", sorted(install.REQUIREMENTS.glob("*.txt")), ids=lambda p: p.name)
def test_every_locked_package_has_a_version_and_a_hash(lock: Path) -> None:
    text = lock.read_text()
    packages = [line for line in text.splitlines() if re.match(r"[A-Za-z0-9]", line)]
    assert packages
    assert all("==" in line for line in packages)
    assert text.count("--hash=sha256:") >= len(packages)
    assert "://" not in text


@pytest.mark.parametrize("listed", LISTS, ids=lambda p: p.name)
def test_every_jar_has_a_version_and_a_checksum(listed: Path) -> None:
    lines = [line for line in listed.read_text().splitlines() if not line.startswith("#")]
    assert lines
    assert all(re.fullmatch(r"[\w.\-]+:[\w.\-]+:[\w.\-]+ sha256:[0-9a-f]{64}", line) for line in lines)


def test_a_jar_with_another_checksum_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "a-1.jar").write_bytes(b"evil")
    expected = f"sha256:{hashlib.sha256(b'good').hexdigest()}"
    with pytest.raises(PreflightError, match=r"g:a:1: expected .*the download was not used"):
        install.check_jar(tmp_path, "g:a:1", expected)
    with pytest.raises(PreflightError, match="got nothing"):
        install.check_jar(tmp_path, "g:b:1", expected)


def test_ivy_resolves_nothing_but_what_is_listed() -> None:
    module = ElementTree.fromstring(install.ivy_module("kafka", ["org.x:a_2.13:1.0", "org.y:b:2"]))
    found = [(d.get("org"), d.get("name"), d.get("rev"), d.get("transitive")) for d in module.iter("dependency")]
    assert found == [("org.x", "a_2.13", "1.0", "false"), ("org.y", "b", "2", "false")]


def test_a_finished_environment_is_not_made_again_until_its_lock_changes(tmp_path: Path) -> None:
    lock, home = tmp_path / "x.txt", tmp_path / "env"
    lock.write_text("a==1")
    assert not install.is_stamped(home, lock)
    install.stamp(home, lock)
    assert install.is_stamped(home, lock)
    lock.write_text("a==2")
    assert not install.is_stamped(home, lock)


def test_a_failed_command_shows_its_last_lines() -> None:
    with pytest.raises(PreflightError, match=r"thing: failed with status 3\n +no such package"):
        install.run([sys.executable, "-c", "print('no such package'); raise SystemExit(3)"], "thing")


def test_a_profiles_airflow_belongs_to_everything_where_it_is_started(tmp_path: Path) -> None:
    profile = tmp_path / "p.yaml"
    profile.write_text("airflow:\n  # its version\n  version: 2.11.2\nstack: null\n")
    assert (install.airflow(str(profile)), install.chosen(str(profile))) == ("airflow-2.11.2", [])
    profile.write_text("airflow:\n  version: 3.2.1\nstack:\n  services: [mysql, airflow]\n")
    assert (install.airflow(str(profile)), install.chosen(str(profile))) == ("airflow-3.2.1", ["airflow-3.2.1"])


def test_a_profile_that_is_not_there_is_named_where_its_airflow_is_wanted() -> None:
    assert install.chosen("nobody") == []
    with pytest.raises(PreflightError, match="no such profile"):
        install.airflow("nobody")


def copy_installer(target: Path) -> None:
    """Copy what services/spark/Dockerfile copies for the installer, and no more of this repository."""
    dockerfile = (ROOT / "services" / "spark" / "Dockerfile").read_text()
    for line in re.findall(r"^COPY (.+)$", dockerfile.partition("RUN --mount")[0], re.MULTILINE):
        *sources, directory = line.split()
        (target / directory).mkdir(exist_ok=True)
        for source in sources:
            if source.endswith("/"):
                shutil.copytree(ROOT / source, target / directory, dirs_exist_ok=True)
            else:
                shutil.copy(ROOT / source, target / directory)


def test_an_old_java_stops_the_installer_before_anything_is_installed(tmp_path: Path) -> None:
    copy_installer(tmp_path)
    fake_java(tmp_path / "java", says("11.0.22"))
    environment = {**os.environ, "JAVA_HOME": str(tmp_path / "java")}
    for arguments in ([], ["jars/kafka"]):
        done = subprocess.run(
            [*COMMAND, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 1
        assert "java is version 11" in done.stderr
        assert "installing" not in done.stderr
        assert not (tmp_path / ".pinflow").exists()


@dataclass(frozen=True)
class Installed:
    """A .pinflow of its own with the environments tool and spark, made by a uv that writes down how it was called."""

    packages: Path
    requirements: Path

    def make(self, *names: str) -> list[str]:
        """Install these; returns the names of the environments that were made anew."""
        calls = self.packages / "calls"
        calls.unlink(missing_ok=True)
        install.main(list(names))
        lines = calls.read_text().splitlines() if calls.exists() else []
        return sorted(Path(line.split()[-1]).name for line in lines if line.startswith("venv"))

    def uv(self, find: str = "exit 1", fetch: str = "exit 1") -> None:
        """A uv that writes down how it was called; ``find`` and ``fetch`` are what it does about a Python."""
        cases = f'case "$1 $2" in\n"python find") {find};;\n"python install") {fetch};;\nesac'
        script = f'echo "$@" >> {self.packages}/calls\n{cases}'
        program = self.packages / "envs" / "bootstrap" / "bin" / "uv"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    def lock(self, name: str, text: str) -> None:
        (self.requirements / f"{name}.txt").write_text(text)

    def stack(self, home: Path, profile: Path) -> socket.socket:
        """A stack in this directory, as its supervisord and the launcher describe it; its socket takes connections."""
        (home / "supervisor").mkdir(parents=True)
        (home / "run").mkdir()
        # Where a path in a test's own directory would be too long for a socket.
        address = Path(tempfile.mkdtemp()) / "s"
        command = f'command="/p/bin/python" -m pinflow.stack.launch kafka "{profile}"'
        configuration = f"[unix_http_server]\nfile={address}\n\n[program:kafka]\n{command}\n"
        (home / "supervisor" / "supervisord.conf").write_text(configuration)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(address))
        listener.listen()
        return listener


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installed:
    one = Installed(tmp_path / ".pinflow", tmp_path / "requirements")
    one.requirements.mkdir()
    monkeypatch.setattr(install, "PACKAGES", one.packages)
    monkeypatch.setattr(install, "REQUIREMENTS", one.requirements)
    for name in ("bootstrap", "tool", "spark"):
        one.lock(name, "a==1")
        install.stamp(one.packages / "envs" / name, one.requirements / f"{name}.txt")
        (one.packages / "envs" / name / "bin").mkdir()
        (one.packages / "envs" / name / "bin" / "python").symlink_to(sys.executable)
    one.uv()
    return one


def test_an_environment_is_made_again_when_its_lock_has_changed_or_its_python_is_gone(installed: Installed) -> None:
    assert installed.make("tool", "spark") == []
    installed.lock("spark", "a==2")
    assert installed.make("tool", "spark") == ["spark"]
    python = installed.packages / "envs" / "tool" / "bin" / "python"
    python.unlink()
    python.symlink_to("/nowhere/python3.12")
    assert installed.make("tool", "spark") == ["tool"]


def test_what_a_running_stack_uses_is_never_replaced_when_a_lock_has_changed(installed: Installed) -> None:
    home = installed.packages / "local"
    with installed.stack(home, ROOT / "profiles" / "local.yaml"):
        assert installed.make("tool", "spark") == []
        installed.lock("spark", "a==2")
        with pytest.raises(PreflightError, match="environment spark: requirements have changed") as error:
            installed.make("tool", "spark")
        assert f"not replaced, because the stack in {home} is running" in error.value.what
        assert error.value.fix == "make down PROFILE=local, then run this again"
        assert not (installed.packages / "calls").exists()
    assert installed.make("tool", "spark") == ["spark"]


def test_the_tool_that_stops_a_running_stack_may_be_of_an_older_lock(
    installed: Installed, capsys: pytest.CaptureFixture[str]
) -> None:
    with installed.stack(installed.packages / "local", ROOT / "profiles" / "local.yaml"):
        installed.lock("tool", "a==2")
        assert installed.make("tool") == []
        assert "environment tool: requirements have changed" in (said := capsys.readouterr().err)
        assert "make down PROFILE=local" in said
    assert installed.make("tool") == ["tool"]


def test_a_program_does_not_replace_the_environment_that_it_runs_in(
    installed: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `pinflow up` installs what runs without Docker, of a tool that is older than its lock."""
    for name in ("tool", "spark"):
        installed.lock(name, "a==2")
    monkeypatch.setattr(sys, "prefix", str(installed.packages / "envs" / "tool"))
    assert installed.make("tool", "spark") == ["spark"]
    monkeypatch.setattr(sys, "prefix", str(installed.packages / "envs" / "bootstrap"))
    assert installed.make("tool", "spark") == ["tool"]


def test_another_python_does_not_replace_what_a_running_stack_uses(
    installed: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    with installed.stack(installed.packages / "local", ROOT / "profiles" / "local.yaml"):
        other = "3.12" if sys.version_info >= (3, 13) else "3.13"
        monkeypatch.setattr(install, "python_version", lambda: other)
        with pytest.raises(PreflightError, match=r"environment tool: installed with Python 3\.1[1-4]") as error:
            installed.make("tool")
        assert str(installed.packages / "local") in error.value.what
        # Also where PYTHON stands in the shell's environment.
        stop = "make PYTHON=.pinflow/envs/bootstrap/bin/python down PROFILE=local"
        assert error.value.fix == f"{stop}, then run this again"
        assert not (installed.packages / "calls").exists()
    install.stamp(installed.packages / "envs" / "bootstrap", installed.requirements / "bootstrap.txt")
    assert installed.make("tool") == ["tool"]


def test_the_locked_uv_names_the_python_that_it_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "python_version", lambda: "3.99")
    assert install.find_python("tool").is_file()


def test_a_python_that_fits_is_found_for_each_environment(
    installed: Installed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    installed.lock("localstack", "a==1")
    monkeypatch.setattr(install, "python_version", lambda: "3.14")
    for name in ("bootstrap", "tool"):
        install.stamp(installed.packages / "envs" / name, installed.requirements / f"{name}.txt")
    installed.uv(find="echo /usr/bin/python3.12")
    assert installed.make("tool", "localstack") == ["localstack"]
    call = (installed.packages / "calls").read_text()
    assert "--no-python-downloads >=3.11,<3.14" in call
    assert "venv -q --clear --python /usr/bin/python3.12" in call
    assert "localstack needs Python 3.11 to 3.13, this is 3.14: using /usr/bin/python3.12" in capsys.readouterr().err
    (installed.packages / "envs/localstack/bin").mkdir()
    (installed.packages / "envs/localstack/bin/python").symlink_to(sys.executable)
    assert installed.make("tool", "localstack") == []


def test_a_python_that_is_nowhere_is_fetched(
    installed: Installed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    installed.lock("localstack", "a==1")
    monkeypatch.setattr(install, "python_version", lambda: "3.14")
    install.stamp(installed.packages / "envs" / "bootstrap", installed.requirements / "bootstrap.txt")
    fetched = installed.packages / "pythons" / "python3.13"
    installed.uv(find=f"test -e {fetched} && echo {fetched}", fetch=f"mkdir -p {fetched}")
    assert installed.make("localstack") == ["localstack"]
    assert "no other was found: fetching Python 3.13" in capsys.readouterr().err
    fetched.rmdir()
    installed.uv(find="exit 1", fetch="echo no route; exit 1")
    installed.lock("localstack", "a==2")
    with pytest.raises(
        PreflightError, match=r"(?s)localstack needs Python 3.11 to 3.13; none was found.*no route"
    ) as error:
        installed.make("localstack")
    assert "apt install python3.13-venv" in error.value.fix


def test_a_developers_packages_come_on_top_and_only_where_they_are_wanted(installed: Installed) -> None:
    installed.lock("tool-dev", "b==1")
    calls = installed.packages / "calls"
    assert (installed.make("tool"), calls.exists()) == ([], False)
    install.main(["tool", "spark"], developer=True)
    assert [line.split()[-1] for line in calls.read_text().splitlines()] == [
        str(installed.requirements / "tool-dev.txt")
    ]
    calls.unlink()
    install.main(["tool", "spark"], developer=True)
    assert (installed.make("tool"), calls.exists()) == ([], False)


def test_an_environment_that_nobody_knows_is_named() -> None:
    with pytest.raises(PreflightError, match="no such environment: sparc"):
        install.main(["sparc"])


def test_an_old_python_is_told_so() -> None:
    for file in ("foundation/__init__.py", "pinflow/__init__.py", "pinflow/install.py"):
        ast.parse((ROOT / file).read_text(), feature_version=(3, 9))
    pretend = "import runpy, sys; sys.version_info = (3, 9, 18); sys.version = '3.9.18 (main)'"
    code = f"{pretend}; runpy.run_module('pinflow.install', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert re.match(r"Python 3\.9\.18 \(.+\) is too old: pinflow needs 3\.11 or newer\n +→ ", done.stderr)


def test_the_product_imports_no_package_of_a_developer() -> None:
    locked = set(re.findall(r"^([\w.-]+)==", (install.REQUIREMENTS / "tool.txt").read_text(), re.MULTILINE))
    packages = packages_distributions()
    for folder in ("pinflow", "foundation", "emulator", "services"):
        for file in (ROOT / folder).rglob("*.py"):
            tree = ast.parse(file.read_text(encoding="utf-8"))
            for name in _imported(tree):
                found = {distribution.lower() for distribution in packages.get(name, [])}
                assert not found or found & locked, f"{file.relative_to(ROOT)} imports {name}"


def _imported(tree: ast.Module) -> Iterator[str]:
    """The top names that a module imports, but those that only a type checker sees."""
    typing = {
        id(n)
        for i in ast.walk(tree)
        if isinstance(i, ast.If) and "TYPE_CHECKING" in ast.dump(i.test)
        for n in ast.walk(i)
    }
    for node in ast.walk(tree):
        if id(node) in typing:
            continue
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def test_a_stack_anywhere_is_found_by_its_link_and_named_by_its_profile(installed: Installed, tmp_path: Path) -> None:
    home, profile = tmp_path / "disk" / "state", tmp_path / "mine.yaml"
    with installed.stack(home, profile):
        assert install.running_stacks() == {}
        (installed.packages / "stacks").mkdir()
        (installed.packages / "stacks" / "0a1b").symlink_to(home)
        assert install.running_stacks() == {home: str(profile)}
    assert install.running_stacks() == {}


def test_a_service_that_a_killed_supervisor_left_counts_as_a_running_stack(installed: Installed) -> None:
    home = installed.packages / "tests" / "e2e"
    installed.stack(home, Path("/p.yaml")).close()
    assert install.running_stacks() == {}
    with subprocess.Popen(["sleep", "60"]) as orphan:
        (home / "run" / "kafka.pid").write_text(f"{orphan.pid} 1.5")
        assert install.running_stacks() == {home: "/p.yaml"}
        orphan.kill()
        orphan.wait()
        assert install.running_stacks() == {}


def installed_for(*arguments: str) -> list[list[str]]:
    """What a target has installed before it begins: the arguments of each call of the installer."""
    # Elsewhere, since -n does run what calls make again: it would empty the log of the tests that run beside these.
    with tempfile.TemporaryDirectory() as elsewhere:
        shutil.copy(ROOT / "Makefile", elsewhere)
        Path(elsewhere, ".pinflow", "tests").mkdir(parents=True)
        command = ["make", "-n", *arguments]
        done = subprocess.run(command, cwd=elsewhere, capture_output=True, text=True, check=True)
    return [
        line.partition("pinflow.install")[2].split() for line in done.stdout.splitlines() if "pinflow.install" in line
    ]


@pytest.mark.parametrize("target", ["up", "demo", "deploy", "batch", "status", "test-real"])
def test_what_runs_in_containers_too_needs_the_tool_alone(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COMPOSE_FILE", raising=False)
    monkeypatch.delenv("RUNTIME", raising=False)
    assert installed_for(target) == [["tool"]]


@pytest.mark.parametrize(("target", "installed"), [("test", ["--dev"]), ("lint", ["--dev", "tool"])])
def test_who_tests_or_lints_has_a_developers_packages_too(target: str, installed: list[str]) -> None:
    assert installed_for(target)[0] == installed


@pytest.mark.parametrize("target", ["up", "demo", "test-real"])
def test_containers_that_run_the_packages_of_this_machine_need_all_of_them(target: str) -> None:
    files = "docker-compose.yml:docker-compose.packages.yml"
    assert installed_for(target, "RUNTIME=compose", f"COMPOSE_FILE={files}") == [[]]


def test_make_goes_on_with_the_python_that_everything_was_installed_with(tmp_path: Path) -> None:
    def python(**variables: str) -> str:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHON"} | variables
        command = ["make", "--no-print-directory", "-n", "install-tool"]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
        return done.stdout.split()[0]

    shutil.copy(ROOT / "Makefile", tmp_path)
    remembered = tmp_path / ".pinflow" / "envs" / "bootstrap" / "bin" / "python"
    remembered.parent.mkdir(parents=True)
    remembered.symlink_to(sys.executable)
    assert python() == ".pinflow/envs/bootstrap/bin/python"
    assert python(PYTHON="/usr/bin/other") == "/usr/bin/other"
    remembered.unlink()
    remembered.symlink_to("/nowhere/python3.12")
    assert "bootstrap" not in python()


def test_an_environment_is_made_from_the_interpreter_itself(tmp_path: Path) -> None:
    """A venv made by a venv's Python must outlive that venv."""
    venv.create(tmp_path / "venv", symlinks=True)
    code = "from pinflow import install; print(install.interpreter())"
    command = [str(tmp_path / "venv" / "bin" / "python"), "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found = Path(done.stdout.strip())
    assert not found.is_relative_to(tmp_path)
    assert found.exists()


@pytest.mark.parametrize("during", ["a command", "the change to the next command"])
def test_ctrl_c_stops_the_installer_in_words_and_the_next_run_finishes(tmp_path: Path, during: str) -> None:
    copy_installer(tmp_path)
    bootstrap = tmp_path / ".pinflow" / "envs" / "bootstrap"
    install.stamp(bootstrap, install.REQUIREMENTS / "bootstrap.txt")
    (bootstrap / "bin").mkdir()
    (bootstrap / "bin" / "python").symlink_to(sys.executable)
    uv = bootstrap / "bin" / "uv"
    # A command that the signal comes too late for: it ends well, and the next one starts.
    too_late = f"trap '' INT TERM; touch {tmp_path}/under-way; until [ -e {tmp_path}/interrupted ]; do sleep 0.1; done"
    first_command = (
        too_late if during == "the change to the next command" else f"touch {tmp_path}/under-way; exec sleep 60"
    )
    uv.write_text(f"#!/bin/sh\n[ $1 = venv ] || exec sleep 60\n{first_command}\n")
    uv.chmod(0o755)
    command = [*COMMAND, "tool"]
    # A group of its own, as a terminal makes one: Ctrl-C reaches every process in it.
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True) as first:
        while not (tmp_path / "under-way").exists():
            assert first.poll() is None
        os.killpg(first.pid, signal.SIGINT)
        (tmp_path / "interrupted").touch()
        said = first.communicate(timeout=30)[1]
    assert first.returncode != 0
    assert said.splitlines()[-1] == "interrupted; run the same command again: it continues from here"
    assert "Traceback" not in said
    uv.write_text("#!/bin/sh\n")
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (again.returncode, "installed environment tool" in again.stderr) == (0, True)


def test_ctrl_c_while_jobs_are_still_handed_out_ends_those_that_run(monkeypatch: pytest.MonkeyPatch) -> None:
    class InterruptedAfterTheFirst(ThreadPoolExecutor):
        def submit(self, *job: object) -> Future[None]:  # type: ignore[override]
            assert not super().submit(*job).done()  # type: ignore[arg-type]
            raise KeyboardInterrupt

    monkeypatch.setattr(install, "ThreadPoolExecutor", InterruptedAfterTheFirst)
    monkeypatch.setattr(install, "_interrupted", threading.Event())
    monkeypatch.setattr(install, "may_replace", lambda *_: True)
    monkeypatch.setattr(install, "install_bootstrap", lambda: None)
    monkeypatch.setattr(install, "is_current", lambda _: True)
    ended = []

    def endless(*_: object) -> None:
        with pytest.raises(PreflightError):
            install.run(["sleep", "60"], "a job")
        ended.append(install._interrupted.is_set())

    monkeypatch.setattr(install, "install_environment", endless)
    with pytest.raises(KeyboardInterrupt):
        install.main(["localstack"])
    assert ended == [True]
