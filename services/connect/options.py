"""Every option of the Confluent S3 sink 12.1.9 and of Connect's sink framework: what this stand-in does with it.

The list is data, in options.yaml. An option is *implemented*, *ignored* (accepted; has no effect on schemaless JSON
with the DefaultPartitioner, or controls something that this stand-in does in another way) or *refused*. An option that
is not in the list is refused too: the real worker accepts it silently, which hides typing errors.
"""

from __future__ import annotations

import datetime
import re
import unicodedata
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import yaml

from foundation.versions import S3_SINK

CONNECTOR_CLASS = "io.confluent.connect.s3.S3SinkConnector"
VERSION = f"{S3_SINK.image}-stand-in"


class Support(Enum):
    """What the stand-in does with an option."""

    IMPLEMENTED = "implemented"
    IGNORED = "ignored"
    REFUSED = "refused"


@dataclass(frozen=True)
class Option:
    """One option of the real definition.

    ``kind`` is Kafka's ConfigDef type; ``minimum`` the least number; ``one_of`` the values that the real one accepts
    (``any_case``: ignoring case), ``allowed`` those that the stand-in accepts, ignoring case. ``why`` is the reason why
    an option is ignored or refused, or only some of its values are accepted. ``display`` to ``dependents`` are for user
    interfaces.
    """

    name: str
    kind: str = "STRING"
    default: str | None = None
    support: Support = Support.IMPLEMENTED
    required: bool = False
    one_of: tuple[str, ...] = ()
    any_case: bool = False
    allowed: tuple[str, ...] = ()
    minimum: int | None = None
    why: str = ""
    display: str = ""
    importance: str = "LOW"
    width: str = "LONG"
    group: str | None = None
    order: int = -1
    dependents: tuple[str, ...] = ()

    @property
    def listed_if_set(self) -> bool:
        """Whether the real definition lists it only where it is set: settings of clients and of unused converters."""
        return self.name.startswith("consumer.override.") or self.name == "key.converter.schemas.enable"


_OFFSET = re.compile(r"([+-])([0-9]{1,2})(?::([0-9]{2}))?")


def _load() -> dict[str, list[Option]]:
    """The options of options.yaml, by the part of the worker that they belong to."""
    parts = yaml.safe_load(Path(__file__).with_name("options.yaml").read_text(encoding="utf-8"))
    reasons = parts.pop("reasons")

    def option(line: dict[str, Any]) -> Option:
        fields = {name: tuple(value) if isinstance(value, list) else value for name, value in line.items()}
        fields["support"] = Support(line.get("support", Support.IMPLEMENTED))
        return Option(**{**fields, "why": reasons.get(line.get("why"), line.get("why", ""))})

    return {part: [option(line) for line in lines] for part, lines in parts.items()}


_PARTS = _load()
STORAGE = _PARTS["connector"]
"""The connector's own definition; all else is the framework's."""
OPTIONS = {option.name: option for options in _PARTS.values() for option in options}

_NUMBERS = {"SHORT": 2**15 - 1, "INT": 2**31 - 1, "LONG": 2**63 - 1}


def effective(config: Mapping[str, str | None], worker: Mapping[str, str]) -> dict[str, str]:
    """The connector's values over the worker's converters and consumer settings over the defaults.

    As in the real worker, `value.converter.*` of the worker count only if the connector names no converter itself.
    """
    values = {o.name: o.default for o in OPTIONS.values() if o.default is not None}
    for side in ("key.converter", "value.converter"):
        if not config.get(side):
            values |= {k: v for k, v in worker.items() if (k == side or k.startswith(f"{side}.")) and k in OPTIONS}
    overrides = {k.replace("consumer.", "consumer.override.", 1): v for k, v in worker.items() if k[:9] == "consumer."}
    values |= {k: v for k, v in overrides.items() if k in OPTIONS}
    return values | {k: v for k, v in config.items() if v is not None}


def errors(config: Mapping[str, str | None], worker: Mapping[str, str]) -> dict[str, list[str]]:
    """The errors of a connector's configuration: option name → messages; empty if it is valid."""
    values = effective(config, worker)
    messages = [(name, refusal) for name, value in config.items() if (refusal := _refusal(name, value))]
    for option in OPTIONS.values():
        value = values.get(option.name)
        if value is None and option.required:
            missing = f'Missing required configuration "{option.name}" which has no default value.'
            messages.append((option.name, missing))
        elif value is not None and option.support is not Support.REFUSED:
            messages += [(option.name, problem) for problem in _problems(option, value)]
    found: dict[str, list[str]] = {}
    for name, message in (*messages, *_topic_errors(values)):
        found.setdefault(name, []).append(message)
    return found


def crash(config: Mapping[str, str | None], worker: Mapping[str, str]) -> str | None:
    """The message of the 500 with which the real worker fails to validate a configuration; None if it does not fail."""
    for name, value in config.items():
        if value is None:
            return f"Non-string value found in original settings for key {name}: null"
    values = effective(config, worker)
    for name, value in values.items():
        option = OPTIONS.get(name)
        if option and name.startswith("consumer.override.") and (problem := _not_of_its_kind(option, value)):
            return _invalid(name.removeprefix("consumer.override."), value, problem)
    if not values["s3.region"].strip():
        return "region must not be blank or empty."
    try:
        re.compile(values["topics.regex"])
    except re.error as error:
        return str(error)
    return None


def _refusal(name: str, value: str | None) -> str | None:
    option = OPTIONS.get(name)
    if option is None:
        why = "is not known to this stand-in for the Confluent S3 sink, so it is refused"
    elif option.support is Support.REFUSED and value:
        why = f"of the Confluent S3 sink is refused by this stand-in: {option.why}"
    else:
        return None
    return f'Option "{name}" {why}. Implemented: {", ".join(names(Support.IMPLEMENTED))}'


def names(support: Support) -> list[str]:
    """The names of all options with this support, in order."""
    return [o.name for o in OPTIONS.values() if o.support is support]


def _problems(option: Option, raw: str) -> list[str]:
    if option.name == "name":
        return [_invalid("name", raw, problem)] if (problem := _name_problem(raw)) else []
    value = raw.strip()
    name = option.name.removeprefix("value.converter.")  # as the converter itself calls it
    if problem := _not_of_its_kind(option, value):
        # Its validator then checks the value that could not be read.
        second = [_invalid(name, "null", _missing(option))] if option.minimum is not None else []
        return [_invalid(name, value, problem), *second]
    if option.minimum is not None and int(value) < option.minimum:
        least = f"Value must be at least {option.minimum}"
        if option.name == "s3.part.size":
            least = f"Part size must be at least: {option.minimum} bytes (5MB)"
        return [_invalid(name, str(int(value)), least)]
    if option.one_of and (value.upper() if option.any_case else value) not in option.one_of:
        case = " (case insensitive)" if option.any_case else ""
        return [_invalid(name, value, f"String must be one of{case}: {', '.join(option.one_of)}")]
    if option.allowed and value.lower() not in (a.lower() for a in option.allowed):
        accepted = ", ".join(repr(a) for a in option.allowed) + (f" ({option.why})" if option.why else "")
        return [_invalid(option.name, value, f"this stand-in accepts only {accepted}")]
    if option.name == "timezone" and not _is_timezone(value):
        return [_invalid(name, value, f"The datetime zone id '{value}' is not recognised")]
    return []


def _invalid(name: str, value: str, problem: str) -> str:
    return f"Invalid value {value} for configuration {name}: {problem}"


def _missing(option: Option) -> str:
    return "Part size must be non-null" if option.name == "s3.part.size" else "Value must be non-null"


def _not_of_its_kind(option: Option, value: str) -> str | None:
    most = _NUMBERS.get(option.kind)
    if most is not None and (not re.fullmatch(r"[+-]?[0-9]+", value) or not -most - 1 <= int(value) <= most):
        return f"Not a number of type {option.kind}"
    if option.kind == "BOOLEAN" and value.lower() not in ("true", "false"):
        return "Expected value to be either true or false"
    return None


def _is_timezone(value: str) -> bool:
    """Whether Joda's DateTimeZone.forID accepts it: an id of the time zone database, UTC, or an offset as +02:00."""
    try:
        return not value or timezone(value) is not None
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False


def timezone(value: str) -> datetime.tzinfo:
    """The zone of a checked `timezone`."""
    if value == "UTC":
        return datetime.UTC  # needs no time zone database on the machine
    if offset := _OFFSET.fullmatch(value):
        ahead = datetime.timedelta(hours=int(offset[2]), minutes=int(offset[3] or 0))
        return datetime.timezone(-ahead if offset[1] == "-" else ahead)
    return zoneinfo.ZoneInfo(value)


def _name_problem(name: str) -> str | None:
    """Kafka's own rule (ConfigDef.NonEmptyStringWithoutControlChars)."""
    if not name:
        return "String may not be empty"
    control = [str(ord(character)) for character in name if unicodedata.category(character) == "Cc"]
    if control:
        return f"String may not contain control sequences but had the following ASCII chars: {', '.join(control)}"
    return None


def _topic_errors(values: Mapping[str, str]) -> list[tuple[str, str]]:
    topics, regex = values.get("topics", "").strip(), values.get("topics.regex", "").strip()
    listed = [topic.strip() for topic in topics.split(",")] if topics else []
    if len(set(listed)) < len(listed):
        return [("topics", "Configuration 'topics' values must not be duplicated.")]
    if "" in listed:
        return [("topics", "Configuration 'topics' values must not be empty.")]
    if topics and regex:
        both = "topics and topics.regex are mutually exclusive options, but both are set."
        return [("topics", both), ("topics.regex", both)]
    if not topics and not regex:
        none = "Must configure one of topics or topics.regex"
        return [("topics", none), ("topics.regex", none)]
    dead = values.get("errors.deadletterqueue.topic.name", "").strip()
    if regex and dead and re.fullmatch(regex, dead):
        what = f"matched by the regex for the topics ('topics.regex={regex}')"
        return [("topics.regex", f"The DLQ topic '{dead}' may not be {what} consumed by the connector")]
    if dead and dead in listed:
        what = f"included in the list of topics ('topics=[{', '.join(listed)}]')"
        return [("topics", f"The DLQ topic '{dead}' may not be {what} consumed by the connector")]
    return []
