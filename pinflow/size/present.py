"""The settings as they are: the profile's, the template's and the sink's."""

from __future__ import annotations

from typing import Any

import yaml

from foundation.profile import Profile
from pinflow.cloudformation.stack import TEMPLATE
from pinflow.size.model import Settings
from services.connect import connector


def settings(profile: Profile, spark_cores: int) -> Settings:
    """What a load of this profile meets; the size of the cluster is not in any file."""
    sink = connector.render(profile)
    parameters = yaml.load(TEMPLATE.read_text(encoding="utf-8"), _Template)["Parameters"]
    return Settings(
        throttling_rate=float(parameters["ThrottlingRate"]["Default"]),
        throttling_burst=float(parameters["ThrottlingBurst"]["Default"]),
        shards=profile.kinesis.shards or 0,
        partitions=profile.kafka.partitions,
        tasks=int(sink["tasks.max"]),
        flush_size=int(sink["flush.size"]),
        rotate_seconds=int(sink["rotate.schedule.interval.ms"]) / 1000,
        part_bytes=int(sink["s3.part.size"]),
        spark_cores=spark_cores,
    )


class _Template(yaml.SafeLoader):
    """Reads the parameters; intrinsic functions, which they do not have, become null."""


def _ignored(loader: yaml.SafeLoader, name: str, node: yaml.Node) -> Any:
    return None


_Template.add_multi_constructor("!", _ignored)
