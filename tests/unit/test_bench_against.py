"""`make bench ARGS="--against DIR"`, with tiny checkouts whose `make` only writes down what it was asked for."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from bench import __main__ as bench
from bench import against
from foundation.errors import PinflowError
from foundation.profile import ROOT, load
from tests.servers.waiting import wait_for
from tests.stack import TestStack

MAKEFILE = """\
up where:
	@echo "$(notdir $(CURDIR)) $@ $(ARGS)" >> ../calls; echo "$(PROFILE)" >> ../profiles
broken:
	@echo "no such thing"; exit 3
endless:
	@echo $$$$ > ../endless; exec sleep 60
"""
# It stands for the tool, which the stack is reset by: not at once, so that a second Ctrl-C can come in between.
PYTHON = """\
#!/bin/sh
name=$(basename "$PWD")
echo "$name begins $3" >> ../calls
sleep 0.2
echo "$name $3" >> ../calls
"""
COMPARE = """
import sys
from pathlib import Path
from bench import against
group = against.Group(lambda stack: iter([("endless", "s", against.make(stack, "endless"))]))
against.compare(Path(sys.argv[2]), {"endless": group}, 1, Path(sys.argv[1]))
"""


@pytest.fixture
def checkouts(tmp_path: Path) -> tuple[Path, Path]:
    """Two of them, side by side; `calls` beside them is what they were asked for, in order."""
    here, there = tmp_path / "here", tmp_path / "there"
    for root in (here, there):
        for name in ("tool", "spark"):
            python = root / ".pinflow" / "envs" / name / "bin" / "python"
            python.parent.mkdir(parents=True)
            python.write_text(PYTHON)
            python.chmod(0o755)
        (root / "pinflow").mkdir()
        (root / "pinflow" / "cli.py").touch()
        (root / "profiles").mkdir()
        shutil.copy(ROOT / "profiles" / "local.yaml", root / "profiles")
        (root / "Makefile").write_text(MAKEFILE)
    return here, there


def calls(root: Path) -> list[str]:
    """What the checkouts were asked for until now; a reset counts when it is done."""
    lines = (root.parent / "calls").read_text().splitlines()
    return [line.strip() for line in lines if "begins" not in line]


def where(stack: TestStack) -> against.Figures:
    yield "where", "s", against.make(stack, "where")


def test_rounds_alternate_each_on_a_fresh_stack(checkouts: tuple[Path, Path]) -> None:
    here, there = checkouts
    assert against.compare(there, {"where": against.Group(where)}, 2, here)
    once = ["here where", "here reset", "there where", "there reset"]
    # From the second round on, what the first may have left is deleted first.
    again = ["here reset", "here where", "here reset", "there reset", "there where", "there reset"]
    assert calls(here) == once + again


def test_each_stack_has_the_profile_and_the_directory_of_its_checkout(checkouts: tuple[Path, Path]) -> None:
    here, there = checkouts
    against.compare(there, {"where": against.Group(where, ("spark",))}, 1, here)
    ours, theirs = (load(line) for line in (here.parent / "profiles").read_text().splitlines())
    assert ours.home == here / ".pinflow" / "tests" / "against"
    assert theirs.home == there / ".pinflow" / "tests" / "against"
    assert theirs.stack
    assert theirs.stack.services == ["spark"]
    assert theirs.spark.remote != load("local").spark.remote


def test_the_arguments_of_make_bench_do_not_reach_what_is_measured(
    checkouts: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = checkouts
    monkeypatch.setenv("MAKEFLAGS", " -- ARGS=--against\\ ../there")
    monkeypatch.setenv("ARGS", "--against ../there")
    against.compare(there, {"where": against.Group(where)}, 1, here)
    assert calls(here)[0] == "here where"


def test_a_figure_shows_both_medians_their_ratio_and_the_spread() -> None:
    figure = against.Figure("s", [4.0, 2.0, 3.0], [8.0, 4.0, 3.0])
    assert figure.cells() == ("3.00 s (2.00–4.00)", "4.00 s (3.00–8.00)", "0.75 (0.50–1.00)")
    rates = against.Figure("records/s", [2141.4], [33.05])
    assert rates.cells() == ("2,141 records/s (2,141–2,141)", "33.0 records/s (33.0–33.0)", "64.79 (64.79–64.79)")


def test_a_figure_that_one_checkout_lacks_has_no_ratio() -> None:
    assert against.Figure("s", [4.0]).cells() == ("4.00 s (4.00–4.00)", "–", "–")


def test_the_figures_are_a_table_in_markdown(checkouts: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    here, there = checkouts
    values = iter([1.0, 2.0, 3.0, 2.0, 1.5, 2.0])
    group = against.Group(lambda stack: iter([("a demo", "s", next(values))]))
    against.compare(there, {"demo": group}, 3, here)
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        f"Here: {here}. There: {there}. Medians of 3, in brackets the least and the most.",
        "",
        "| figure | here | there | here/there |",
        "|---|--:|--:|--:|",
        "| a demo | 1.50 s (1.00–3.00) | 2.00 s (2.00–2.00) | 0.75 (0.50–1.50) |",
    ]
    assert "demo, round 3 of 3, there\n  a demo: 2.00 s" in printed.err


def test_a_command_that_fails_ends_its_group_alone(
    checkouts: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    here, there = checkouts

    def broken(stack: TestStack) -> Iterator[tuple[str, str, float]]:
        yield "where", "s", 1.0
        if stack.root == there:
            yield "broken", "s", against.make(stack, "broken")

    assert not against.compare(there, {"broken": against.Group(broken), "where": against.Group(where)}, 2, here)
    printed = capsys.readouterr()
    assert f"broken failed there, in {there}: make broken: exit status 2\n    no such thing" in printed.err
    assert "| where | 1.00 s (1.00–1.00) | 1.00 s (1.00–1.00) | 1.00 (1.00–1.00) |" in printed.out
    assert calls(here).count("there where") == 2
    assert calls(here)[:2] == ["here reset", "there reset"]


def test_a_directory_that_is_no_checkout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PinflowError, match=r"is not a checkout of pinflow\n  → make one .*: git worktree add"):
        against.checkout(tmp_path)


def test_a_checkout_without_packages_is_refused(checkouts: tuple[Path, Path]) -> None:
    _, there = checkouts
    assert against.checkout(there) == there
    shutil.rmtree(there / ".pinflow" / "envs" / "spark")
    with pytest.raises(PinflowError, match=rf"nothing is installed in {there}/.pinflow\n  → make -C {there} install"):
        against.checkout(there)


def test_ctrl_c_ends_the_command_and_deletes_the_stack_even_if_it_comes_twice(checkouts: tuple[Path, Path]) -> None:
    here, there = checkouts
    process = subprocess.Popen([sys.executable, "-c", COMPARE, str(here), str(there)], cwd=ROOT)
    child = here.parent / "endless"
    wait_for("the command that is measured", lambda: child.exists() and child.read_text().strip())
    process.send_signal(signal.SIGINT)
    wait_for("the reset", lambda: "begins" in (here.parent / "calls").read_text())
    process.send_signal(signal.SIGINT)
    assert process.wait(20) != 0
    assert calls(here) == ["here reset"]
    assert not psutil.pid_exists(int(child.read_text()))


def test_ctrl_c_prints_the_figures_so_far(checkouts: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    here, there = checkouts

    def interrupted(stack: TestStack) -> against.Figures:
        yield "first", "s", 1.0
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        against.compare(there, {"demo": against.Group(interrupted)}, 5, here)
    assert "| first | 1.00 s (1.00–1.00) | – | – |" in capsys.readouterr().out


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", *arguments])
    before = signal.getsignal(signal.SIGTERM)
    try:
        bench.main()
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_name_that_no_figure_has_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in (("x",), ("--against", os.fspath(ROOT), "x"), ("--rounds", "0")):
        with pytest.raises(SystemExit, match="2"):
            run(monkeypatch, *arguments)
    printed = capsys.readouterr().err
    assert "no figure 'x': choose from d,a,r" in printed
    assert "no figure 'x': choose from commands,spark,start" in printed
    assert "--rounds must be at least 1" in printed


def test_make_bench_measures_what_it_is_asked_for(
    checkouts: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def compare(there: Path, groups: dict[str, against.Group], rounds: int) -> bool:
        asked.extend((there, list(groups), rounds))
        raise KeyboardInterrupt

    monkeypatch.setattr(against, "compare", compare)
    with pytest.raises(SystemExit, match="130"):
        run(monkeypatch, "--against", str(checkouts[1]), "demo,batch", "--rounds", "3")
    assert asked == [checkouts[1], ["demo", "batch"], 3]


def test_make_bench_names_what_is_wrong_with_a_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match="is not a checkout of pinflow"):
        run(monkeypatch, "--against", str(tmp_path))
