"""The tests, the requests that each sends, and which test shows a capability."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from docs.capabilities.inventory import METHODS, Call, Capability, matches, module
from foundation.profile import ROOT


@dataclass(frozen=True)
class Test:
    """A test function or a recorded case: file, name, text, and the requests that can be read from the text."""

    __test__ = False
    file: str
    name: str
    text: str
    calls: tuple[Call, ...]
    recorded: bool = False

    @property
    def of_errors(self) -> bool:
        """Whether it expects an error, and so rather shows what is refused."""
        return bool(re.search(r"pytest\.raises|[Rr]efus|error_code|\b(40\d|422|50[01])\b|Invalid", self.text))


@functools.cache
def tests_in(place: str) -> list[Test]:
    """The tests of a folder or file, in order."""
    path = ROOT / place
    files = [path] if path.is_file() else sorted([*path.rglob("test_*.py"), *path.rglob("*.yaml")])
    files = [file for file in files if not file.name.startswith("test_bad_")]  # random input
    return [test for file in files for test in (_recorded if file.suffix == ".yaml" else _functions)(file)]


def _recorded(file: Path) -> Iterator[Test]:
    for row in yaml.load(file.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        # Only a success shows that a call exists.
        steps = [step for step in row.get("steps") or [row] if step.get("answer", {}).get("status", 200) < 400]
        # `config` puts the case's connector.
        sent = [
            step.get("send", "PUT /connectors/{connector}/config") for step in steps if {"send", "config"} & {*step}
        ]
        calls = [(method, path) for method, path in (line.split(" ", 1) for line in sent)]
        yield Test(str(file.relative_to(ROOT)), row["name"], repr(row).replace("'", '"'), tuple(calls), recorded=True)


def _functions(file: Path) -> Iterator[Test]:
    lines = file.read_text(encoding="utf-8").splitlines()
    tree = module(file)
    constants = _texts(tree.body)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            source = "\n".join(lines[first - 1 : node.end_lineno])
            calls = _calls(node, constants | _texts(ast.walk(node)))
            yield Test(str(file.relative_to(ROOT)), node.name, source, tuple(calls))


def _calls(function: ast.AST, constants: dict[str, str]) -> Iterator[Call]:
    """The requests of a function: `anything("GET", path)` and `anything.get(path)`."""
    for node in ast.walk(function):
        if isinstance(node, ast.Call):
            words = [_text(argument, constants) for argument in node.args[:2]]
            if len(words) == 2 and words[0] in METHODS and words[1]:
                yield words[0], words[1]
            if isinstance(node.func, ast.Attribute) and node.func.attr.upper() in METHODS and words and words[0]:
                yield node.func.attr.upper(), words[0]


def _texts(nodes: Iterable[ast.AST]) -> dict[str, str]:
    """Names to which a text is assigned: `GET_RUN` → `/api/2.1/jobs/runs/get`."""
    found: dict[str, str] = {}
    for node in nodes:
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and (text := _text(node.value, found))
        ):
            found[node.targets[0].id] = text
    return found


def _text(node: ast.expr, constants: dict[str, str]) -> str | None:
    """A text as written, with `{}` for values that are known only at run time."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.Name):
        return constants.get(node.id)
    if isinstance(node, ast.JoinedStr):
        values = [part.value if isinstance(part, ast.FormattedValue) else part for part in node.values]
        return "".join(_text(value, constants) or "{}" for value in values)
    return None


def shown_by(
    capability: Capability,
    tests: Sequence[Test],
    routed: dict[Call, Capability | None],
    named: tuple[str, str] | None = None,
) -> Test | None:
    """The test that shows a capability: the one ``named`` (name, file) if it does, else the best.

    The best expects an error just if the capability is refused, is recorded, and has a similar name.
    """
    signs = [re.compile(sign) for sign in capability.signs]
    words = _words(capability.name)
    found = [
        test
        for test in tests
        if any(sign.search(test.text) for sign in signs) or any(routed[call] is capability for call in test.calls)
    ]

    def rank(test: Test) -> tuple[bool, bool, bool, int]:
        fits = test.of_errors == (capability.state == "refused")
        return (test.name, test.file) == named, fits, test.recorded, len(words & _words(test.name))

    return max(found, key=rank, default=None)


def routed(call: Call, capabilities: Sequence[Capability]) -> Capability | None:
    """The capability that a request is for; None if several match."""
    found = [each for each in capabilities if each.call and matches(each.call, call)]
    exact = [each for each in found if each.call and each.call[1] == call[1]] or found
    return exact[0] if len(exact) == 1 else None


def _words(name: str) -> set[str]:
    """The words of a name, without the s of their plural."""
    return {word.rstrip("s") for word in re.findall(r"[a-z]+", re.sub(r"([A-Z])", r" \1", name).lower())}
