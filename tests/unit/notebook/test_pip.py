"""What `%pip install` may replace: what it names, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.databricks.notebook.pip import replaced, requirements

INSTALLED = {"numpy": "2.4.6", "pandas": "2.3.3", "python-dateutil": "2.9.0", "typing-extensions": "4.16.0"}


def free(*words: str, upgrade: bool = False) -> set[str]:
    return replaced(requirements(words), INSTALLED, upgrade)


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("numpy~=1.26", "numpy"),
        ("numpy==1.26.*", "numpy"),
        ("numpy!=2.4.6", "numpy"),
        ("NumPy<2,>=1", "numpy"),
        ("Typing_Extensions===4.0", "typing-extensions"),
        ("python.dateutil>3", "python-dateutil"),
        ("pandas[excel,aws]<2 ; python_version > '3'", "pandas"),
        ("pandas @ https://host/pandas.zip", "pandas"),
        ("/dbfs/FileStore/python_dateutil-2.8-py2.py3-none-any.whl", "python-dateutil"),
        ("https://host/numpy-1.26.4.tar.gz?x=1#sha256=0", "numpy"),
        ("git+https://host/numpy.git@v1#egg=numpy", "numpy"),
    ],
)
def test_what_is_asked_for_in_another_version_may_change(word: str, name: str) -> None:
    assert free("-q", word, "requests") == {name}


@pytest.mark.parametrize(
    "words",
    [
        ("numpy",),
        ("numpy>=2",),
        ("pandas[excel]",),
        ("numpy<2 ; python_version < '3'",),
        ("--no-binary", "numpy", "pandas"),
        ("-i", "https://host/simple", "./own-project", "--quiet"),
    ],
)
def test_what_the_installed_version_satisfies_stays(words: tuple[str, ...]) -> None:
    assert free(*words) == set()


def test_upgrade_frees_what_is_named() -> None:
    assert free("numpy", "--upgrade", upgrade=True) == {"numpy"}


@pytest.mark.parametrize("form", [("-r", "{}"), ("-r{}",), ("--requirement", "{}"), ("--requirement={}",)])
def test_files_name_libraries_too(tmp_path: Path, form: tuple[str, ...]) -> None:
    (tmp_path / "more.txt").write_text("PANDAS==1.5 --hash=sha256:00\n")
    (tmp_path / "all.txt").write_text(
        "# numpy<1\n--index-url https://host/numpy\n-r more.txt\nnumpy \\\n ~=1.26 # old\n\n-c none.txt\n"
    )
    assert free(*(word.format(tmp_path / "all.txt") for word in form)) == {"numpy", "pandas"}


@pytest.mark.parametrize("form", ["--editable=", "-e"])
def test_what_is_named_in_the_same_word_as_its_option_is_installed(form: str) -> None:
    assert free(f"{form}git+https://host/numpy.git@v1#egg=numpy") == {"numpy"}


def test_a_file_that_is_not_there_is_for_pip_to_report() -> None:
    assert free("-r", "/no/such/file", "numpy<2") == {"numpy"}
