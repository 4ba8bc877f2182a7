"""The stack itself: harmless when repeated, on loopback only, gone when told to go."""

from __future__ import annotations

import contextlib
import os

import psutil

from tests import containers
from tests.e2e.conftest import CANARIES
from tests.servers.waiting import wait_for
from tests.stack import TestStack, in_containers

SERVICES = ("mysql", "kafka", "rest_proxy", "localstack", "connect", "spark", "databricks", "airflow")


def family(stack: TestStack) -> list[psutil.Process]:
    """Every process of the stack: the services with their children, and the supervisor where there is one."""
    if in_containers():
        return [process for name in SERVICES for process in containers.family(stack.profile, name)]
    supervisor = int((stack.profile.home / "supervisor" / "supervisord.pid").read_text())
    everyone = [psutil.Process(supervisor), *psutil.Process(supervisor).children(recursive=True)]
    return [process for process in everyone if process.status() != psutil.STATUS_ZOMBIE]


def command_lines(stack: TestStack) -> list[str]:
    found = []
    for process in family(stack):
        with contextlib.suppress(psutil.NoSuchProcess):  # it may end while it is looked at
            found.append(" ".join(process.cmdline()))
    return found


def test_everything_listens_on_loopback_only(stack: TestStack) -> None:
    if in_containers():
        addresses = [address for name in SERVICES for address, _ in containers.published(stack.profile, name)]
        assert len(addresses) >= len(SERVICES)
        assert set(addresses) == {"127.0.0.1"}
        return
    sockets = [c for p in family(stack) for c in p.net_connections("inet") if c.status == psutil.CONN_LISTEN]
    assert len(sockets) >= 6
    beyond = [c.laddr for c in sockets if c.laddr.ip not in ("127.0.0.1", "::1", "::ffff:127.0.0.1")]
    assert not beyond


def test_no_secret_in_a_process_list_a_log_or_a_file(stack: TestStack) -> None:
    canaries = [os.environ[name] for name in CANARIES]
    told = [line for line in command_lines(stack) if any(canary in line for canary in canaries)]
    assert not told
    for name in SERVICES if in_containers() else ():
        log = containers.docker("logs", containers.identity(stack.profile, name))
        assert not [c for c in canaries if c in log], name
    for directory in ("logs", "run", "supervisor"):
        for file in (stack.profile.home / directory).rglob("*"):
            if file.is_file():
                assert not [c for c in canaries if c in file.read_text(errors="replace")], file


def test_up_again_is_harmless_and_quick(stack: TestStack) -> None:
    before = {name: stack.pid(name) for name in SERVICES}
    done = stack.pinflow("up")
    assert done.stderr.count("was running") == len(SERVICES)
    assert {name: stack.pid(name) for name in SERVICES} == before


def test_a_port_in_use_names_its_holder(stack: TestStack) -> None:
    other = TestStack.create("in-the-way")
    text = other.profile.path.read_text().replace(
        f":{other.profile.rest_proxy.url.rsplit(':', 1)[1]}", f":{stack.profile.rest_proxy.url.rsplit(':', 1)[1]}"
    )
    other.profile.path.write_text(text)
    done = other.pinflow("up", check=False)
    assert done.returncode == 1
    holder = "(docker-proxy" if in_containers() else f"process {stack.pid('rest_proxy')}"
    assert holder in done.stderr
    assert "Traceback" not in done.stderr
    other.pinflow("reset", "--yes")


def test_a_service_that_is_killed_comes_back_by_itself(stack: TestStack) -> None:
    before = stack.pid("rest_proxy")
    stack.kill("rest_proxy")
    wait_for("a new REST proxy", lambda: stack.pid("rest_proxy") not in (0, before))
    wait_for("all services ready", lambda: stack.pinflow("status", check=False).returncode == 0)
