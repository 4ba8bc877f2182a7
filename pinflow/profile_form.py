"""`bin/pinflow profile init` and `show`: fills in a profile interactively; prints one with secrets masked."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import yaml
from botocore.exceptions import BotoCoreError

from foundation.errors import ProfileError
from foundation.profile import Profile, load

_LINE = re.compile(r"^(?P<indent> *)(?P<key>[\w-]+):(?: (?P<value>\S.*))?$")
_VARIABLE = re.compile(r"\$\{([A-Za-z_]\w*)\}")
_NOT_ASKED = ("aws.access_key_id", "aws.secret_access_key", "api.api_key", "databricks.token", "stack")


@dataclass(frozen=True)
class Question:
    """A value to ask for: its key, the comment above it, its current text and its line."""

    key: str
    comment: str
    value: str
    line: int


def questions(text: str) -> list[Question]:
    """Every value of a profile's file in order, except secrets, which come from variables."""
    found: list[Question] = []
    sections: list[str] = []
    comment: list[str] = []
    for number, line in enumerate(text.splitlines()):
        match = _LINE.match(line)
        if not match:
            comment = [*comment, line.strip("# ")] if line.lstrip().startswith("#") else []
            continue
        sections = [*sections[: len(match["indent"]) // 2], match["key"]]
        key, value = ".".join(sections), match["value"]
        if value and not key.startswith((*_NOT_ASKED, "databricks.secrets")) and not _VARIABLE.search(value):
            found.append(Question(key, " ".join(comment), value, number))
        comment = []
    return found


def fill_in(text: str, answers: Mapping[str, str]) -> str:
    """The file with the answers (by key) filled in; keeps comments."""
    lines = text.splitlines()
    for question in questions(text):
        answer = answers.get(question.key)
        if answer is not None:
            lines[question.line] = f"{lines[question.line].partition(':')[0]}: {_scalar(answer, question.value)}"
    return "\n".join(lines) + "\n"


def init(
    example: Path, target: Path, ask: Callable[[Question, str], str], say: Callable[[str], None]
) -> list[tuple[str, str]]:
    """Ask for every value and write the profile, starting from ``example``; asks again after a wrong answer.

    Returns the secrets whose environment variables are not set: (variable, key).
    """
    source = target if target.is_file() else example
    text = source.read_text(encoding="utf-8")
    open_questions, draft = questions(text), target.with_suffix(".draft.yaml")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        while open_questions:
            text = fill_in(text, {each.key: ask(each, _plain(each.value)) for each in open_questions})
            draft.write_text(text, encoding="utf-8")
            open_questions = _wrong(draft, text, say)
    finally:
        draft.unlink(missing_ok=True)
    target.write_text(text, encoding="utf-8")
    return [(name, key) for name, key in _variables(yaml.safe_load(text)) if name not in os.environ]


def shown(profile: Profile) -> str:
    """The profile as YAML with variables resolved and secrets masked, and the source of the AWS credentials."""
    document = profile.model_dump(mode="json", by_alias=True)
    for name in ("host", "token"):
        if document["databricks"][name] is None:
            document["databricks"][name] = _databricks(profile, name)
    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    return f"# {profile.path}\n# AWS credentials: {_aws_credentials(profile)}\n{text}"


def _wrong(draft: Path, text: str, say: Callable[[str], None]) -> list[Question]:
    """The questions with invalid answers; reports what is wrong with them."""
    with _all_set(name for name, _ in _variables(yaml.safe_load(text))):
        try:
            load(str(draft))
        except ProfileError as error:
            problems = [line.removeprefix(f"{draft}: ") for line in error.what.splitlines()]
            again = [q for q in questions(text) if any(problem.startswith(f"{q.key}:") for problem in problems)]
            if not again:  # the file itself is wrong, not an answer
                raise
            for problem in problems:
                say(problem)
            return again
    return []


@contextmanager
def _all_set(names: Iterator[str]) -> Iterator[None]:
    """Set a placeholder for every missing secret while the rest is checked."""
    missing = [name for name in names if name not in os.environ]
    os.environ.update(dict.fromkeys(missing, "not set yet"))
    try:
        yield
    finally:
        for name in missing:
            os.environ.pop(name, None)


def _variables(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _variables(each, f"{key}.{name}" if key else str(name))
    elif isinstance(value, str):
        yield from ((name, key) for name in _VARIABLE.findall(value))


def _scalar(answer: str, before: str) -> str:
    """The answer as YAML; quoted if it would be read as another type (a uid of digits), unless that type is wanted."""
    answer = answer.strip()
    if answer == "null" or isinstance(yaml.safe_load(before), int):
        return answer or "null"
    try:
        plain = yaml.safe_load(answer) == answer
    except yaml.YAMLError:
        plain = False
    return answer if plain else json.dumps(answer, ensure_ascii=False)


def _plain(value: str) -> str:
    loaded = yaml.safe_load(value)
    return "null" if loaded is None else str(loaded)


def _databricks(profile: Profile, name: str) -> str | None:
    try:
        return str(getattr(profile.databricks, name))  # a SecretStr's text is its mask
    except ProfileError:
        return None


def _aws_credentials(profile: Profile) -> str:
    if profile.aws.access_key_id:
        return "the variables that aws.access_key_id and aws.secret_access_key name"
    try:
        found = boto3.session.Session().get_credentials()
    except BotoCoreError as error:
        return f"none: {error}"
    return f"boto3's chain: {found.method}" if found else "none: aws configure, or aws sso login"
