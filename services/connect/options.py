"""Every option of the Confluent S3 sink 12.1.9 and of Connect's sink framework: what this stand-in does with it.

The list is data: the REST API validates by it, and connector JSON for Compose can be checked against it.

Source of names, types and defaults: Confluent's configuration reference of the S3 sink and Apache Kafka's of sink
connectors. An option is *implemented*, *ignored* (accepted; has no effect on schemaless JSON with the
DefaultPartitioner, or steers something that this stand-in does in another way) or *refused*. What is not in the
list is refused too: the real worker would take it silently, and a typing error would stay unseen.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

CONNECTOR_CLASS = "io.confluent.connect.s3.S3SinkConnector"
VERSION = "12.1.9-stand-in"

_S3 = "io.confluent.connect.s3"
_PARTITIONER = "io.confluent.connect.storage.partitioner.DefaultPartitioner"
_CONVERTERS = "org.apache.kafka.connect"
_KEY_CONVERTERS = (
    f"{_CONVERTERS}.storage.StringConverter",
    f"{_CONVERTERS}.converters.ByteArrayConverter",
)


class Support(Enum):
    """What the stand-in does with an option."""

    IMPLEMENTED = "implemented"
    IGNORED = "ignored"
    REFUSED = "refused"


@dataclass(frozen=True)
class Option:
    """One option. ``allowed``: the only values taken (compared without case); ``minimum``: the least number.

    ``kind`` is Kafka's ConfigDef type: STRING, INT, LONG, BOOLEAN, CLASS, LIST or PASSWORD. ``why`` says why an
    option is ignored or refused, or why only some of its values are taken.
    """

    name: str
    kind: str = "STRING"
    default: str | None = None
    support: Support = Support.IMPLEMENTED
    required: bool = False
    allowed: tuple[str, ...] = ()
    minimum: int | None = None
    why: str = ""


def _ignored(why: str, *options: tuple[str, str, str | None]) -> list[Option]:
    return [Option(name, kind, default, Support.IGNORED, why=why) for name, kind, default in options]


def _refused(why: str, *names: str) -> list[Option]:
    return [Option(name, support=Support.REFUSED, why=why) for name in names]


_FRAMEWORK = [
    Option("name", required=True),
    Option("connector.class", "CLASS", required=True, allowed=(CONNECTOR_CLASS, "S3SinkConnector", "S3Sink")),
    Option("tasks.max", "INT", "1", minimum=1),
    Option("topics", "LIST", ""),
    Option("topics.regex", default=""),
    Option("key.converter", "CLASS", allowed=_KEY_CONVERTERS, why="keys are not written"),
    Option("value.converter", "CLASS", allowed=(f"{_CONVERTERS}.json.JsonConverter",), why="values are JSON"),
    Option("value.converter.schemas.enable", "BOOLEAN", "true", allowed=("false",), why="values are schemaless"),
    Option("transforms", "LIST", "", allowed=("",), why="no single message transform is implemented"),
    Option("predicates", "LIST", "", allowed=("",), why="no single message transform is implemented"),
    Option("errors.tolerance", default="none", allowed=("none", "all")),
    Option("errors.log.enable", "BOOLEAN", "false"),
    Option("errors.log.include.messages", "BOOLEAN", "false"),
    Option("errors.deadletterqueue.topic.name", default=""),
    Option("errors.deadletterqueue.topic.replication.factor", "INT", "3", minimum=1),
    Option("errors.deadletterqueue.context.headers.enable", "BOOLEAN", "false"),
    *_ignored(
        "no converter call is ever retried: converting JSON has no transient errors",
        ("errors.retry.timeout", "LONG", "0"),
        ("errors.retry.delay.max.ms", "LONG", "60000"),
    ),
    *_ignored(
        "keys and headers are not written",
        ("key.converter.schemas.enable", "BOOLEAN", "true"),
        ("header.converter", "CLASS", None),
    ),
    *_ignored(
        "concerns schemas or decimals, which schemaless JSON has not",
        ("value.converter.schemas.cache.size", "INT", "1000"),
        ("value.converter.decimal.format", "STRING", "BASE64"),
        ("value.converter.replace.null.with.default", "BOOLEAN", "true"),
        ("json.decimal.format", "STRING", "BASE64"),
        ("schema.compatibility", "STRING", "NONE"),
        ("schema.generator.class", "CLASS", None),
        ("schemas.cache.config", "INT", "1000"),
        ("enhanced.avro.schema.support", "BOOLEAN", "true"),
        ("connect.meta.data", "BOOLEAN", "true"),
        ("allow.optional.map.keys", "BOOLEAN", "false"),
    ),
    *_ignored(
        "there is one worker and one version of the connector",
        ("connector.plugin.version", "STRING", None),
        ("tasks.max.enforce", "BOOLEAN", "true"),
        ("config.action.reload", "STRING", "restart"),
    ),
]

_STORAGE = [
    Option("s3.bucket.name", required=True),
    Option("s3.region", default="us-west-2"),
    Option("store.url"),
    Option("s3.path.style.access.enabled", "BOOLEAN", "true"),
    Option("aws.access.key.id", default=""),
    Option("aws.secret.access.key", "PASSWORD"),
    Option("s3.retry.backoff.ms", "LONG", "200", minimum=1),
    Option("topics.dir", default="topics"),
    Option("file.delim", default="+"),
    Option("directory.delim", default="/"),
    Option("filename.offset.zero.pad.width", "INT", "10", minimum=0),
    Option("flush.size", "INT", required=True, minimum=1),
    Option("rotate.schedule.interval.ms", "LONG", "-1"),
    Option("timezone", default=""),
    Option("behavior.on.null.values", default="fail", allowed=("fail", "ignore"), why="tombstones are not written"),
    Option("storage.class", "CLASS", f"{_S3}.storage.S3Storage", allowed=(f"{_S3}.storage.S3Storage",)),
    Option("format.class", "CLASS", required=True, allowed=(f"{_S3}.format.json.JsonFormat",), why="values are JSON"),
    Option("partitioner.class", "CLASS", _PARTITIONER, allowed=(_PARTITIONER,)),
    Option("s3.compression.type", default="none", allowed=("none",), why="objects are plain JSON lines"),
    Option("s3.wan.mode", "BOOLEAN", "false", allowed=("false",)),
    Option("s3.ssea.name", default="", allowed=("",), why="server-side encryption is not implemented"),
    Option("s3.object.tagging", "BOOLEAN", "false", allowed=("false",)),
    Option("store.kafka.keys", "BOOLEAN", "false", allowed=("false",)),
    Option("store.kafka.headers", "BOOLEAN", "false", allowed=("false",)),
    Option("s3.schema.partition.affix.type", default="NONE", allowed=("NONE",)),
    Option("s3.part.size", "INT", "26214400", Support.IGNORED, minimum=5242880, why="an object is one PUT"),
    *_ignored(
        "writing to S3 is retried until it succeeds or the task is stopped",
        ("s3.part.retries", "INT", "3"),
        ("retry.backoff.ms", "LONG", "5000"),
        ("shutdown.timeout.ms", "LONG", "3000"),
        ("max.write.duration", "LONG", None),
    ),
    *_ignored(
        "has no effect with the DefaultPartitioner, in the real connector neither",
        ("rotate.interval.ms", "LONG", "-1"),
        ("partition.duration.ms", "LONG", "-1"),
        ("path.format", "STRING", ""),
        ("locale", "STRING", ""),
        ("timestamp.extractor", "STRING", "Wallclock"),
        ("timestamp.field", "STRING", "timestamp"),
        ("partition.field.name", "LIST", ""),
        ("partitioner.max.open.files", "INT", "-1"),
    ),
    *_ignored("writes are always conditional (If-None-Match)", ("enable.conditional.writes", "BOOLEAN", None)),
    *_ignored(
        "belongs to a format, compression, tagging or buffer that is not in use",
        ("avro.codec", "STRING", "null"),
        ("parquet.codec", "STRING", "snappy"),
        ("format.bytearray.extension", "STRING", ".bin"),
        ("format.bytearray.separator", "STRING", None),
        ("s3.compression.level", "INT", "-1"),
        ("keys.format.class", "CLASS", None),
        ("headers.format.class", "CLASS", None),
        ("s3.object.tagging.key.value.pairs", "LIST", ""),
        ("s3.object.behavior.on.tagging.error", "STRING", "ignore"),
        ("tombstone.encoded.partition", "STRING", "tombstone"),
        ("s3.elastic.buffer.enable", "BOOLEAN", "false"),
        ("s3.elastic.buffer.init.capacity", "INT", "131072"),
        ("s3.http.send.expect.continue", "BOOLEAN", "true"),
        ("s3.send.digest", "BOOLEAN", "false"),
    ),
    *_refused("server-side encryption is not implemented", "s3.sse.customer.key", "s3.sse.kms.key.id"),
    *_refused("credentials come from aws.access.key.id or from AWS_ACCESS_KEY_ID", "s3.credentials.provider.class"),
    *_refused("not implemented", "s3.acl.canned", "s3.proxy.url", "s3.proxy.user", "s3.proxy.password"),
]

_CONSUMER = [
    Option("consumer.override.metadata.max.age.ms", "INT", "300000", minimum=100),
    Option("consumer.override.max.poll.records", "INT", "500", minimum=1),
    Option("consumer.override.fetch.max.wait.ms", "INT", "500", minimum=1),
    Option("consumer.override.fetch.max.bytes", "INT", "52428800", minimum=1),
    Option("consumer.override.max.partition.fetch.bytes", "INT", "1048576", minimum=1),
    Option("consumer.override.auto.offset.reset", default="earliest", allowed=("earliest",)),
    *_ignored(
        "partitions are assigned by the worker itself, without group membership",
        ("consumer.override.session.timeout.ms", "INT", None),
        ("consumer.override.heartbeat.interval.ms", "INT", None),
        ("consumer.override.max.poll.interval.ms", "INT", None),
        ("consumer.override.partition.assignment.strategy", "LIST", None),
        ("consumer.override.client.id", "STRING", None),
    ),
]

OPTIONS: dict[str, Option] = {option.name: option for option in (*_FRAMEWORK, *_STORAGE, *_CONSUMER)}

_NUMBERS = {"INT": 2**31 - 1, "LONG": 2**63 - 1}


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
    """What is wrong with a connector's configuration: option name → messages; empty if it can be taken."""
    found: dict[str, list[str]] = {}
    values = effective(config, worker)
    for name in config:
        refusal = _refusal(name, config[name])
        if refusal:
            found.setdefault(name, []).append(refusal)
    for option in OPTIONS.values():
        value = values.get(option.name)
        if value is None:
            if option.required:
                message = f'Missing required configuration "{option.name}" which has no default value.'
                found.setdefault(option.name, []).append(message)
        elif option.support is not Support.REFUSED and (problem := _problem(option, value)):
            found.setdefault(option.name, []).append(
                f"Invalid value {value} for configuration {option.name}: {problem}"
            )
    for name, message in _topic_errors(values):
        found.setdefault(name, []).append(message)
    return found


def _refusal(name: str, value: str | None) -> str | None:
    option = OPTIONS.get(name)
    if option is None:
        return (
            f'Option "{name}" is not known to this stand-in for the Confluent S3 sink, so it is refused. '
            f"Implemented: {', '.join(names(Support.IMPLEMENTED))}"
        )
    if option.support is Support.REFUSED and value:
        return (
            f'Option "{name}" of the Confluent S3 sink is refused by this stand-in: {option.why}. '
            f"Implemented: {', '.join(names(Support.IMPLEMENTED))}"
        )
    return None


def names(support: Support) -> list[str]:
    """The names of all options with this support, in order."""
    return [o.name for o in OPTIONS.values() if o.support is support]


def _problem(option: Option, raw: str) -> str | None:
    if option.name == "name":
        return _name_problem(raw)
    value = raw.strip()
    if option.kind in _NUMBERS:
        if not re.fullmatch(r"[+-]?\d+", value) or abs(int(value)) > _NUMBERS[option.kind]:
            return f"Not a number of type {option.kind}"
        if option.minimum is not None and int(value) < option.minimum:
            if option.name == "s3.part.size":
                return f"Part size must be at least: {option.minimum} bytes (5MB)"
            return f"Value must be at least {option.minimum}"
    if option.kind == "BOOLEAN" and value.lower() not in ("true", "false"):
        return "Expected value to be either true or false"
    if option.allowed and value.lower() not in (a.lower() for a in option.allowed):
        taken = ", ".join(repr(a) for a in option.allowed)
        return f"this stand-in takes only {taken}" + (f" ({option.why})" if option.why else "")
    return None


def _name_problem(name: str) -> str | None:
    """Kafka's own rule (ConfigDef.NonEmptyStringWithoutControlChars), and what clients drop from every path."""
    if not name:
        return "String may not be empty"
    control = [str(ord(character)) for character in name if unicodedata.category(character) == "Cc"]
    if control:
        return f"String may not contain control sequences but had the following ASCII chars: {', '.join(control)}"
    if name in (".", ".."):
        return "No URL can name it, for clients drop it from every path"
    return None


def _topic_errors(values: Mapping[str, str]) -> list[tuple[str, str]]:
    topics, regex = values.get("topics", "").strip(), values.get("topics.regex", "").strip()
    if topics and regex:
        return [("topics", "topics and topics.regex are mutually exclusive options, but both are set.")]
    if not topics and not regex:
        return [("topics", "Must configure one of topics or topics.regex")]
    dead = values.get("errors.deadletterqueue.topic.name", "").strip()
    try:
        if regex and dead and re.fullmatch(regex, dead):
            return [
                (
                    "topics.regex",
                    f"The DLQ topic '{dead}' may not be matched by the regex for the topics "
                    f"('topics.regex={regex}') consumed by the connector",
                )
            ]
        re.compile(regex)
    except re.error as error:
        return [
            ("topics.regex", f"Invalid value {regex} for configuration topics.regex: Must be a valid regex: {error}")
        ]
    if dead and dead in [topic.strip() for topic in topics.split(",")]:
        return [
            (
                "topics",
                f"The DLQ topic '{dead}' may not be included in the list of topics ('topics={topics}') "
                "consumed by the connector",
            )
        ]
    return []
