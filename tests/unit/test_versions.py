"""versions.toml and its copies: what `make lint` finds, and what `make versions` writes."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from docs import versions as copies
from foundation import versions
from foundation.paths import ROOT


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files that have copies, in a directory of the test's."""
    for name in {
        "README.md",
        *(name for name, *_ in copies.COPIES),
        *(f"requirements/jars/{j}.txt" for j, *_ in copies.JARS),
    }:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    monkeypatch.setattr(copies, "ROOT", tmp_path)
    return tmp_path


def test_every_copy_is_current() -> None:
    assert copies.corrected() == {}
    assert list(copies.outdated_jars()) == []


@pytest.mark.parametrize("name", sorted({name for name, *_ in copies.COPIES}))
def test_another_version_in_a_file_is_found_and_corrected(name: str, tree: Path) -> None:
    file, right = tree / name, (tree / name).read_text()
    for pattern in (pattern for copy, pattern, _ in copies.COPIES if copy == name):
        match = re.search(pattern, file.read_text(), re.MULTILINE)
        assert match
        file.write_text(file.read_text()[: match.start(1)] + "0.0" + file.read_text()[match.end(1) :])
    assert copies.corrected() == {name: right}


def test_a_file_without_a_copy_is_named(tree: Path) -> None:
    (tree / "services/spark/Dockerfile").write_text("FROM python\n")
    with pytest.raises(LookupError, match="services/spark/Dockerfile: nothing matches"):
        copies.corrected()


def test_a_jar_of_another_version_is_named(tree: Path) -> None:
    jars = tree / "requirements/jars/spark.txt"
    jars.write_text(jars.read_text().replace("hadoop-aws:3.5.0", "hadoop-aws:3.4.0"))
    assert len(found := list(copies.outdated_jars())) == 1
    assert found[0].startswith("requirements/jars/spark.txt: org.apache.hadoop:hadoop-aws:3.4.0")


def test_two_versions_of_a_part_have_a_reason() -> None:
    for part in versions.PARTS:
        assert (part.native != part.image) == bool(part.why), part


def test_every_locked_environment_has_its_pythons() -> None:
    locks = {file.stem for file in (ROOT / "requirements").glob("*.txt")}
    assert set(versions.PYTHONS) == {name for name in locks if name != "bootstrap" and not name.endswith("-dev")}
