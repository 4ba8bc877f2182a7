"""Every option of the Confluent S3 sink 12.1.9 and of Connect's sink framework: what this stand-in does with it.

The list is data: the REST API validates by it, and connector JSON for Compose can be checked against it.

Source of names, types and defaults: what a worker of Apache Kafka 4.3.1 told of the connector
(`PUT /connector-plugins/S3SinkConnector/config/validate`). An option is *implemented*, *ignored* (accepted; has no
effect on schemaless JSON with the DefaultPartitioner, or steers something that this stand-in does in another way) or
*refused*. What is not in the list is refused too: the real worker takes it silently, and a typing error stays unseen.
"""

from __future__ import annotations

import datetime
import re
import unicodedata
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum

CONNECTOR_CLASS = "io.confluent.connect.s3.S3SinkConnector"
VERSION = "12.1.9-stand-in"

_S3 = "io.confluent.connect.s3"
_PARTITIONER = "io.confluent.connect.storage.partitioner.DefaultPartitioner"
_AVRO = f"{_S3}.format.avro.AvroFormat"
_CONVERTERS = "org.apache.kafka.connect"
_KEY_CONVERTERS = (f"{_CONVERTERS}.storage.StringConverter", f"{_CONVERTERS}.converters.ByteArrayConverter")


class Support(Enum):
    """What the stand-in does with an option."""

    IMPLEMENTED = "implemented"
    IGNORED = "ignored"
    REFUSED = "refused"


@dataclass(frozen=True)
class Option:
    """One option of the real definition.

    ``kind`` is Kafka's ConfigDef type; ``minimum`` the least number; ``one_of`` the values that the real one takes
    (``any_case``: in capitals or not), ``allowed`` the only ones that the stand-in takes, compared without case.
    ``why`` says why an option is ignored or refused, or why only some of its values are taken. ``display`` to
    ``dependents`` are for user interfaces.
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
    def given_only(self) -> bool:
        """Whether the real definition has it only where it is given: settings of clients and of unused converters."""
        return self.name.startswith("consumer.override.") or self.name == "key.converter.schemas.enable"


def _ignored(why: str, *options: Option) -> list[Option]:
    return [replace(option, support=Support.IGNORED, why=why) for option in options]


def _refused(why: str, *options: Option) -> list[Option]:
    return [replace(option, support=Support.REFUSED, why=why) for option in options]


def _group(group: str, *options: Option, first: int = 1) -> list[Option]:
    """Options of one group of the real definition, in its order."""
    return [replace(option, group=group, order=first + place) for place, option in enumerate(options)]


_ONE = "there is one worker and one version of each plugin"
_NO_TRANSFORMS = "no single message transform is implemented"
_NO_RETRIES = "no converter call is ever retried: converting JSON has no transient errors"
_NO_HEADERS = "keys and headers are not written"
_SCHEMALESS = "concerns schemas or decimals, which schemaless JSON has not"
_UNTIL_DONE = "writing to S3 is retried until it succeeds or the task is stopped"
_NO_EFFECT = "has no effect with the DefaultPartitioner, in the real connector neither"
_NOT_IN_USE = "belongs to a format, compression, tagging or buffer that is not in use"
_NO_ENCRYPTION = "server-side encryption is not implemented"
_NOT_IMPLEMENTED = "not implemented"

_FRAMEWORK = [
    *_group(
        "Common",
        Option("name", required=True, display="Connector name", importance="HIGH", width="MEDIUM"),
        Option(
            "connector.class",
            required=True,
            allowed=(CONNECTOR_CLASS, "S3SinkConnector", "S3Sink"),
            display="Connector class",
            importance="HIGH",
        ),
        *_ignored(
            _ONE, Option("connector.plugin.version", display="Connector version", importance="MEDIUM", width="MEDIUM")
        ),
        Option("tasks.max", "INT", "1", minimum=1, display="Tasks max", importance="HIGH", width="SHORT"),
        *_ignored(_ONE, Option("tasks.max.enforce", "BOOLEAN", "true", display="Enforce tasks max", width="SHORT")),
        Option(
            "key.converter",
            "CLASS",
            allowed=_KEY_CONVERTERS,
            why="keys are not written",
            display="Key converter class",
            width="SHORT",
        ),
        *_ignored(_ONE, Option("key.converter.plugin.version", display="Key converter version", width="SHORT")),
        Option(
            "value.converter",
            "CLASS",
            allowed=(f"{_CONVERTERS}.json.JsonConverter",),
            why="values are JSON",
            display="Value converter class",
            width="SHORT",
        ),
        *_ignored(_ONE, Option("value.converter.plugin.version", display="Value converter version", width="SHORT")),
        *_ignored(_NO_HEADERS, Option("header.converter", "CLASS", display="Header converter class", width="SHORT")),
        *_ignored(_ONE, Option("header.converter.plugin.version", display="Header converter version", width="SHORT")),
    ),
    *_group(
        "Transforms",
        Option("transforms", "LIST", "", allowed=("",), why=_NO_TRANSFORMS, display="Transforms"),
        first=12,
    ),
    *_group(
        "Predicates",
        Option("predicates", "LIST", "", allowed=("",), why=_NO_TRANSFORMS, display="Predicates"),
        first=13,
    ),
    *_group(
        "Common",
        *_ignored(
            _ONE,
            Option(
                "config.action.reload",
                default="restart",
                one_of=("none", "restart"),
                display="Reload Action",
                width="MEDIUM",
            ),
        ),
        first=14,
    ),
    # In the real definition, too, both stand at the fourth place of their group.
    *_group("Common", Option("topics", "LIST", "", display="Topics", importance="HIGH"), first=4),
    *_group("Common", Option("topics.regex", default="", display="Topics regex", importance="HIGH"), first=4),
    *(
        replace(option, importance="MEDIUM")
        for option in _group(
            "Error Handling",
            *_ignored(
                _NO_RETRIES,
                Option("errors.retry.timeout", "LONG", "0", display="Retry Timeout for Errors", width="MEDIUM"),
                Option(
                    "errors.retry.delay.max.ms",
                    "LONG",
                    "60000",
                    display="Maximum Delay Between Retries for Errors",
                    width="MEDIUM",
                ),
            ),
            Option(
                "errors.tolerance", default="none", one_of=("none", "all"), display="Error Tolerance", width="SHORT"
            ),
            Option("errors.log.enable", "BOOLEAN", "false", display="Log Errors", width="SHORT"),
            Option("errors.log.include.messages", "BOOLEAN", "false", display="Log Error Details", width="SHORT"),
            Option(
                "errors.deadletterqueue.topic.name", default="", display="Dead Letter Queue Topic Name", width="MEDIUM"
            ),
            Option(
                "errors.deadletterqueue.topic.replication.factor",
                "SHORT",
                "3",
                display="Dead Letter Queue Topic Replication Factor",
                width="MEDIUM",
            ),
            Option(
                "errors.deadletterqueue.context.headers.enable",
                "BOOLEAN",
                "false",
                display="Enable Error Context Headers",
                width="MEDIUM",
            ),
        )
    ),
]

_CONVERTER = [
    *_ignored(
        _NO_HEADERS,
        Option("key.converter.converter.type", display="converter.type", width="NONE"),
        Option("key.converter.converter.encoding", default="UTF-8", display="Encoding", importance="HIGH"),
        Option("key.converter.schemas.enable", "BOOLEAN", "true", display="Enable Schemas", importance="HIGH"),
    ),
    *_ignored(_SCHEMALESS, Option("value.converter.converter.type", display="converter.type", width="NONE")),
    *_group(
        "Serialization",
        *_ignored(
            _SCHEMALESS,
            Option(
                "value.converter.decimal.format",
                default="BASE64",
                one_of=("NUMERIC", "BASE64"),
                any_case=True,
                display="Decimal Format",
                width="MEDIUM",
            ),
            Option(
                "value.converter.replace.null.with.default",
                "BOOLEAN",
                "true",
                display="Replace null with default",
                width="MEDIUM",
            ),
        ),
        first=0,
    ),
    *(
        replace(option, importance="HIGH", width="MEDIUM")
        for option in _group(
            "Schemas",
            Option(
                "value.converter.schemas.enable",
                "BOOLEAN",
                "true",
                allowed=("false",),
                why="values are schemaless",
                display="Enable Schemas",
            ),
            *_ignored(
                _SCHEMALESS,
                Option("value.converter.schemas.cache.size", "INT", "1000", display="Schema Cache Size"),
                Option("value.converter.schema.content", display="Schema Content"),
            ),
            first=0,
        )
    ),
]

STORAGE = [  # the connector's own definition; all else is the framework's
    *_group(
        "Connector",
        Option(
            "format.class",
            "CLASS",
            required=True,
            allowed=(f"{_S3}.format.json.JsonFormat",),
            why="values are JSON",
            display="Format class",
            importance="HIGH",
            width="NONE",
        ),
        # The real one takes 0 and less too, and then writes each record as an object.
        Option("flush.size", "INT", required=True, display="Flush Size", importance="HIGH"),
        *_ignored(
            _NO_EFFECT,
            Option(
                "rotate.interval.ms", "LONG", "-1", display="Rotate Interval (ms)", importance="HIGH", width="MEDIUM"
            ),
        ),
        Option(
            "rotate.schedule.interval.ms",
            "LONG",
            "-1",
            display="Rotate Schedule Interval (ms)",
            importance="MEDIUM",
            width="MEDIUM",
        ),
        *_ignored(
            _SCHEMALESS,
            Option("schemas.cache.config", "INT", "1000", display="Schema Cache Size"),
            Option("enhanced.avro.schema.support", "BOOLEAN", "true", display="Enhanced Avro Support", width="SHORT"),
            Option("connect.meta.data", "BOOLEAN", "true", display="Connect Metadata", width="SHORT"),
            Option("allow.optional.map.keys", "BOOLEAN", "false", display="Allow Optional Map Keys", width="SHORT"),
        ),
        *_ignored(
            _UNTIL_DONE, Option("retry.backoff.ms", "LONG", "5000", display="Retry Backoff (ms)", width="MEDIUM")
        ),
        Option("filename.offset.zero.pad.width", "INT", "10", minimum=0, display="Filename Offset Zero Pad Width"),
        *_ignored(
            _NOT_IN_USE,
            Option(
                "avro.codec",
                default="null",
                one_of=("null", "deflate", "snappy", "bzip2"),
                display="Avro Compression Codec",
                width="MEDIUM",
            ),
            Option("parquet.codec", default="snappy", display="Parquet Compression Codec", width="MEDIUM"),
        ),
        *_ignored(
            _SCHEMALESS,
            Option("schema.compatibility", default="NONE", display="Schema Compatibility", importance="HIGH"),
        ),
        *_ignored(_UNTIL_DONE, Option("max.write.duration.ms", "LONG", display="Max Write Duration (ms)")),
        *_ignored(
            _NO_EFFECT,
            Option("rotate.file.on.partition.change", "BOOLEAN", display="Rotate File on Partition Change"),
            Option("partitioner.max.open.files", "INT", "-1", display="Max open files"),
        ),
    ),
    *_group(
        "S3",
        Option("s3.bucket.name", required=True, display="S3 Bucket", importance="HIGH"),
        Option("s3.object.tagging", "BOOLEAN", "false", allowed=("false",), display="S3 Object Tagging"),
        *_ignored(
            _NOT_IN_USE,
            Option("s3.object.tagging.key.value.pairs", "LIST", "", display="S3 Object Tagging Extra Key Value pairs"),
            Option(
                "s3.object.behavior.on.tagging.error",
                default="ignore",
                display="Behavior for S3 object tagging error",
                width="SHORT",
            ),
        ),
        Option("s3.region", default="us-west-2", display="AWS region", importance="MEDIUM"),
        *_ignored(
            "an object is one PUT",
            Option("s3.part.size", "INT", "26214400", minimum=5242880, display="S3 Part Size", importance="HIGH"),
        ),
        *_refused(
            "credentials come from aws.access.key.id or from AWS_ACCESS_KEY_ID",
            Option("s3.credentials.provider.class", "CLASS", display="AWS Credentials Provider Class"),
        ),
        Option("aws.access.key.id", default="", display="AWS Access Key ID", importance="HIGH"),
        Option("aws.secret.access.key", "PASSWORD", display="AWS Secret Access Key", importance="HIGH"),
        Option(
            "s3.ssea.name", default="", allowed=("",), why=_NO_ENCRYPTION, display="S3 Server Side Encryption Algorithm"
        ),
        *_refused(
            _NO_ENCRYPTION,
            Option(
                "s3.sse.customer.key", "PASSWORD", display="S3 Server Side Encryption Customer-Provided Key (SSE-C)"
            ),
            Option("s3.sse.kms.key.id", default="", display="S3 Server Side Encryption Key"),
        ),
        *_refused(_NOT_IMPLEMENTED, Option("s3.acl.canned", display="S3 Canned ACL")),
        Option(
            "s3.wan.mode",
            "BOOLEAN",
            "false",
            allowed=("false",),
            display="S3 accelerated endpoint enabled",
            importance="MEDIUM",
        ),
        Option(
            "s3.compression.type",
            default="none",
            allowed=("none",),
            why="objects are plain JSON lines",
            display="Compression type",
        ),
        *_ignored(_NOT_IN_USE, Option("s3.compression.level", "INT", "-1", minimum=-1, display="Compression Level")),
        *_ignored(
            _SCHEMALESS,
            Option(
                "json.decimal.format", default="BASE64", display="Decimal Format", importance="MEDIUM", width="MEDIUM"
            ),
        ),
        *_ignored(
            _UNTIL_DONE,
            Option("s3.part.retries", "INT", "3", minimum=0, display="S3 Part Upload Retries", importance="MEDIUM"),
        ),
        Option("s3.retry.backoff.ms", "LONG", "200", minimum=0, display="Retry Backoff (ms)", width="SHORT"),
        *_ignored(
            _NOT_IN_USE,
            Option("format.bytearray.extension", default=".bin", display="Output file extension for ByteArrayFormat"),
            Option("format.bytearray.separator", display="Line separator ByteArrayFormat"),
        ),
        *_refused(
            _NOT_IMPLEMENTED,
            Option("s3.proxy.url", default="", display="S3 Proxy Settings"),
            Option("s3.proxy.user", display="S3 Proxy User"),
            Option("s3.proxy.password", "PASSWORD", display="S3 Proxy Password"),
        ),
        *_ignored(
            _NOT_IN_USE,
            Option(
                "s3.http.send.expect.continue",
                "BOOLEAN",
                "true",
                display="S3 HTTP Send Uses Expect Continue",
                width="SHORT",
            ),
        ),
        Option(
            "behavior.on.null.values",
            default="fail",
            one_of=("ignore", "fail", "write"),
            allowed=("fail", "ignore"),
            why="tombstones are not written",
            display="Behavior for null-valued records",
            width="SHORT",
        ),
        Option("report.null.values.to.dlq", "BOOLEAN", "true", display="Report null values to DLQ", width="SHORT"),
        *_ignored(
            _NOT_IN_USE,
            Option(
                "tombstone.encoded.partition", default="tombstone", display="Tombstone Encoded Partition", width="SHORT"
            ),
        ),
        Option(
            "s3.schema.partition.affix.type", default="NONE", allowed=("NONE",), display="Schema Partition Affix Type"
        ),
        *_ignored(
            _NOT_IN_USE,
            Option("s3.send.digest", "BOOLEAN", "false", display="S3 Send Upload Message Digest", width="SHORT"),
        ),
        *_ignored(
            "writes are always conditional (If-None-Match)",
            Option("enable.conditional.writes", "BOOLEAN", display="Enable conditional writes", width="SHORT"),
            Option("max.files.scan.limit", "INT", display="Max files scan limit"),
        ),
    ),
    *_group(
        "Keys and Headers",
        Option(
            "store.kafka.keys",
            "BOOLEAN",
            "false",
            allowed=("false",),
            display="Store kafka keys",
            width="SHORT",
            dependents=("keys.format.class",),
        ),
        Option(
            "store.kafka.headers",
            "BOOLEAN",
            "false",
            allowed=("false",),
            display="Store kafka headers",
            width="SHORT",
            dependents=("headers.format.class",),
        ),
        *_ignored(
            _NOT_IN_USE,
            Option("keys.format.class", "CLASS", _AVRO, display="Keys format class", width="NONE"),
            Option("headers.format.class", "CLASS", _AVRO, display="Headers format class", width="NONE"),
        ),
        Option(
            "s3.path.style.access.enabled", "BOOLEAN", "true", display="Enable Path Style Access to S3", width="SHORT"
        ),
        *_ignored(
            _NOT_IN_USE,
            Option("s3.elastic.buffer.enable", "BOOLEAN", "false", display="Enable elastic buffer to staging s3-part"),
            Option(
                "s3.elastic.buffer.init.capacity",
                "INT",
                "131072",
                minimum=4096,
                display="Elastic buffer initial capacity",
            ),
        ),
    ),
    *_group(
        "Storage",
        Option(
            "storage.class",
            "CLASS",
            required=True,
            allowed=(f"{_S3}.storage.S3Storage",),
            display="Storage Class",
            importance="HIGH",
            width="NONE",
        ),
        Option("topics.dir", default="topics", display="Topics directory", importance="HIGH", width="NONE"),
        Option("store.url", display="Store URL", importance="HIGH", width="NONE"),
        Option("directory.delim", default="/", display="Directory Delimiter", importance="MEDIUM"),
        Option("file.delim", default="+", display="File Delimiter", importance="MEDIUM"),
    ),
    *_group(
        "Partitioner",
        Option(
            "partitioner.class",
            "CLASS",
            _PARTITIONER,
            allowed=(_PARTITIONER,),
            display="Partitioner Class",
            importance="HIGH",
            dependents=("partition.field.name", "partition.duration.ms", "path.format", "locale", "timezone"),
        ),
        *_ignored(
            _NO_EFFECT,
            Option(
                "partition.field.name", "LIST", "", display="Partition Field Name", importance="MEDIUM", width="NONE"
            ),
            Option("partition.duration.ms", "LONG", "-1", display="Partition Duration (ms)", importance="MEDIUM"),
            Option("path.format", default="", display="Path Format", importance="MEDIUM"),
            Option("locale", default="", display="Locale", importance="MEDIUM"),
        ),
        Option("timezone", default="", display="Timezone", importance="MEDIUM"),
        *_ignored(
            _NO_EFFECT,
            Option("timestamp.extractor", default="Wallclock", display="Timestamp Extractor", importance="MEDIUM"),
            Option(
                "timestamp.field",
                default="timestamp",
                display="Record Field for Timestamp Extractor",
                importance="MEDIUM",
            ),
        ),
    ),
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
        Option("consumer.override.session.timeout.ms", "INT"),
        Option("consumer.override.heartbeat.interval.ms", "INT"),
        Option("consumer.override.max.poll.interval.ms", "INT"),
        Option("consumer.override.partition.assignment.strategy", "LIST"),
        Option("consumer.override.client.id"),
    ),
]

_OFFSET = re.compile(r"([+-])([0-9]{1,2})(?::([0-9]{2}))?")

OPTIONS: dict[str, Option] = {option.name: option for option in (*_FRAMEWORK, *STORAGE, *_CONSUMER, *_CONVERTER)}

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
        elif option.support is not Support.REFUSED and (problems := _problems(option, value)):
            found.setdefault(option.name, []).extend(problems)
    for name, message in _topic_errors(values):
        found.setdefault(name, []).append(message)
    return found


def crash(config: Mapping[str, str | None], worker: Mapping[str, str]) -> str | None:
    """What the real worker answers with a 500 to a configuration on which its validation itself breaks; else None."""
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


def _problems(option: Option, raw: str) -> list[str]:
    if option.name == "name":
        return [_invalid("name", raw, problem)] if (problem := _name_problem(raw)) else []
    value = raw.strip()
    name = option.name.removeprefix("value.converter.")  # as the converter itself calls it
    if problem := _not_of_its_kind(option, value):
        # Its validator then looks at the value that could not be read.
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
        taken = ", ".join(repr(a) for a in option.allowed)
        return [
            _invalid(
                option.name, value, f"this stand-in takes only {taken}" + (f" ({option.why})" if option.why else "")
            )
        ]
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
    """Whether Joda's DateTimeZone.forID takes it: an id of the time zone database, UTC, or an offset as +02:00."""
    if not value:
        return True
    try:
        timezone(value)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


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
        return [
            (
                "topics.regex",
                f"The DLQ topic '{dead}' may not be matched by the regex for the topics "
                f"('topics.regex={regex}') consumed by the connector",
            )
        ]
    if dead and dead in listed:
        return [
            (
                "topics",
                f"The DLQ topic '{dead}' may not be included in the list of topics "
                f"('topics=[{', '.join(listed)}]') consumed by the connector",
            )
        ]
    return []
