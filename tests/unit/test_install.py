"""The installer: what it names, what it refuses."""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pinflow import install

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
    with pytest.raises(install.InstallError, match=r"g:a:1: expected .*the download was not used"):
        install.check_jar(tmp_path, "g:a:1", expected)
    with pytest.raises(install.InstallError, match="got nothing"):
        install.check_jar(tmp_path, "g:b:1", expected)


def test_ivy_resolves_nothing_but_what_is_listed() -> None:
    module = ElementTree.fromstring(install.ivy_module("kafka", ["org.x:a_2.13:1.0", "org.y:b:2"]))
    found = [(d.get("org"), d.get("name"), d.get("rev"), d.get("transitive")) for d in module.iter("dependency")]
    assert found == [("org.x", "a_2.13", "1.0", "false"), ("org.y", "b", "2", "false")]


def test_a_finished_environment_is_not_made_again_until_its_lock_changes(tmp_path: Path) -> None:
    lock, home = tmp_path / "x.txt", tmp_path / "env"
    lock.write_text("a==1")
    assert not install.stamped(home, lock)
    install.stamp(home, lock)
    assert install.stamped(home, lock)
    lock.write_text("a==2")
    assert not install.stamped(home, lock)


def test_a_failed_command_shows_its_last_lines() -> None:
    with pytest.raises(install.InstallError, match=r"thing: failed with status 3\n +no such package"):
        install.run([sys.executable, "-c", "print('no such package'); raise SystemExit(3)"], "thing")


def test_the_profiles_airflow_is_installed_to_read_dags_even_where_none_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = tmp_path / "p.yaml"
    profile.write_text("airflow:\n  # its version\n  version: 2.11.2\nstack: null\n")
    monkeypatch.setenv("PROFILE", str(profile))
    assert (install.airflow(), install.chosen()) == ("airflow-2.11.2", [])
    profile.write_text("airflow:\n  version: 3.2.1\nstack:\n  services: [mysql, airflow]\n")
    assert (install.airflow(), install.chosen()) == ("airflow-3.2.1", ["airflow-3.2.1"])


def test_a_profile_that_is_not_there_is_named_where_its_airflow_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROFILE", "nobody")
    assert install.chosen() == []
    with pytest.raises(install.InstallError, match="no such profile"):
        install.airflow()
