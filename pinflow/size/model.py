"""What each hop needs at a rate of posts, from the quotas of AWS and the costs per record that were measured here.

Pure functions of a load, the present settings and the facts. A post is a record in each table, in both layers: three
records in Kafka and three in Kinesis. docs/scale.md explains the rules, and holds the model against measurements.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import ceil

from emulator.sending import LINGER
from foundation.errors import PinflowError
from foundation.registry import TABLES
from pinflow.size.facts import Broker, Fact, Facts

LAYERS = 2  # Kafka and Kinesis
HOURS = 730  # of a month, as AWS counts
NODE_CORES = 4  # of a Spark node, whose price is in facts.toml
PROXY_CORES = 2  # of an instance for the REST proxy, as well
PUT_UNIT = 25_000  # bytes that Kinesis bills as one
MEGABYTE, GIGABYTE = 1e6, 1e9


@dataclass(frozen=True)
class Load:
    """What is asked of the pipeline.

    posts                posts per second
    records_per_request  the most in one request: 500 by the emulator, 1 where each person posts alone
    s3_seconds           how old a record may be when its object is in S3
    days                 days of records that S3 keeps, all of which each batch reads
    batch_hours          hours in which the daily batch must end
    """

    posts: float
    records_per_request: int = 500
    s3_seconds: float = 60
    days: float = 1
    batch_hours: float = 1

    @property
    def records(self) -> float:
        """Records per second in one layer."""
        return self.posts * len(TABLES)


@dataclass(frozen=True)
class Settings:
    """What is set now. ``shards`` 0 is on demand; ``spark_cores`` are those of the cluster."""

    throttling_rate: float
    throttling_burst: float
    shards: int
    partitions: int
    tasks: int
    flush_size: int
    rotate_seconds: float
    part_bytes: int
    spark_cores: int


@dataclass(frozen=True)
class Need:
    """What one hop needs.

    hop      its name
    needed   what it needs, in words
    amount   the number of units: shards, cores, brokers
    load     what arrives, in the unit of ``bound``
    unit     that unit
    bound    the most that one unit takes, with its source
    holds    posts per second that the present settings take; None where nothing is known of them
    dollars  per hour
    excess   what AWS must be asked for, where an account's quota is exceeded
    """

    hop: str
    needed: str
    amount: float
    load: float
    unit: str
    bound: Fact
    holds: float | None
    dollars: float = 0.0
    excess: str = ""


@dataclass(frozen=True)
class Change:
    """A setting that is too small: where it is, its value now, and the value that is needed."""

    where: str
    key: str
    now: str
    needed: str


Changes = Iterator[Change]


@dataclass(frozen=True)
class Plan:
    """The needs in the order of the path, and the settings to change."""

    needs: tuple[Need, ...]
    changes: tuple[Change, ...]

    @property
    def dollars(self) -> float:
        """Per hour."""
        return sum(need.dollars for need in self.needs)

    @property
    def first(self) -> Need:
        """The hop that breaks first as the rate grows."""
        return min((need for need in self.needs if need.holds is not None), key=lambda need: need.holds or 0)


def plan(load: Load, now: Settings, facts: Facts) -> Plan:
    """What is needed for a load; raises PinflowError if no number of cores can do it in time."""
    partitions = partitions_per_topic(load, now, facts)
    shards, trigger = shards_per_stream(load, facts), trigger_seconds(facts)
    needs = (
        _api(load, now, facts),
        _request(load, facts),
        _rest_proxy(load, facts),
        _kafka(load, now, facts, partitions),
        _brokers(load, facts, partitions),
        _sink(load, now, facts),
        _s3(load, now, facts, partitions),
        _batch(load, now, facts),
        _kinesis(load, now, facts, shards),
        _streams(load, now, facts, trigger),
        _delta(facts, trigger),
    )
    return Plan(needs, tuple(_changes(load, now, facts, {need.hop: need for need in needs}, partitions, shards)))


def record_bytes(facts: Facts) -> list[float]:
    """Bytes of a record of each table; raises PinflowError for a table that was not measured."""
    if unknown := [name for name in TABLES if f"{name}_bytes" not in facts.measured]:
        raise PinflowError(
            f"size: the bytes of a record of {unknown[0]} are not known",
            f"add [measured.{unknown[0]}_bytes] to pinflow/size/facts.toml",
        )
    return [facts.measured[f"{name}_bytes"].value for name in TABLES]


def requests_per_second(load: Load) -> float:
    """Requests per second at API Gateway: full ones, or one for each ``LINGER`` where too few records come."""
    full = load.posts / load.records_per_request
    return len(TABLES) * LAYERS * max(full, min(load.posts, 1 / LINGER))


def throttling_rate(load: Load, facts: Facts) -> int:
    """Requests per second that the stage must let through."""
    return _rounded(requests_per_second(load) / facts.quota["utilisation"].value)


def proxy_cores(load: Load, facts: Facts) -> float:
    """Cores that the REST proxy uses: a part per request and a part per record, from the two measurements."""
    batched, single = (facts.measured[name].value for name in ("proxy_batched", "proxy_single"))
    full = facts.quota["put_records"].value  # records per request of the first measurement
    per_request = (single - batched) * full / (full - 1)
    per_record = single - per_request
    return load.records * per_record + requests_per_second(load) / LAYERS * per_request


def sink_cores(load: Load, facts: Facts) -> float:
    """Cores that the sink uses, at most: it is charged with all that the whole path from MySQL to S3 used."""
    cores, seconds, records = (facts.measured[name].value for name in ("cores", "path_seconds", "path_records"))
    return load.records * cores * seconds / records


def stream_cores(load: Load, facts: Facts) -> float:
    """Cores that Spark's streams use, at most: Kinesis ran on them, too, when that was measured."""
    return load.records * facts.measured["cores"].value / facts.measured["stream_records"].value


def batch_seconds(records: float, cores: float, facts: Facts) -> float:
    """Seconds of a batch: a fixed part, and one per record that is divided among the cores.

    Both come from the measurements at 1× and 100×; the one at 10× is left to hold the model against.
    """
    fixed, core_seconds = _batch_costs(facts)
    return fixed + records * core_seconds / cores


def shards_per_stream(load: Load, facts: Facts) -> int:
    """Shards of each stream: by records per second, or by the bytes of the largest record."""
    records = load.posts / facts.quota["shard_records"].value
    volume = load.posts * max(record_bytes(facts)) / facts.quota["shard_bytes"].value
    return _units(max(records, volume), facts)


def partitions_per_topic(load: Load, now: Settings, facts: Facts) -> int:
    """Partitions of each topic: one task of the sink reads one, on one core. Never fewer than now."""
    written = load.posts / facts.measured["partition_records"].value
    return max(now.partitions, _units(max(written, sink_cores(load, facts) / len(TABLES)), facts))


def trigger_seconds(facts: Facts) -> float:
    """Seconds between two batches of a stream, so that its commits have ended and leave time for the rest."""
    commit = facts.measured["commit_seconds"].value / facts.quota["utilisation"].value
    return max(facts.quota["trigger_seconds"].value, commit)


def api_dollars(requests: float, facts: Facts) -> float:
    """Dollars per hour for so many requests per second, by the tiers of a month."""
    left, dollars = requests * 3600 * HOURS / 1e6, 0.0
    for tier, millions in enumerate((333, 667, 19_000, float("inf")), 1):
        here = min(left, millions)
        dollars += here * facts.price[f"api_requests_{tier}"].value
        left -= here
    return dollars / HOURS


def workers(cores: float, facts: Facts) -> tuple[int, int]:
    """MSK Connect's workers and the MCUs of each (1, 2, 4 or 8) for so many cores."""
    most = int(facts.quota["worker_mcus"].value)
    each = next((size for size in (1, 2, 4, 8) if size >= min(cores, most)), most)
    return max(1, ceil(cores / each)), each


def brokers(ingress: float, facts: Facts) -> tuple[int, Broker]:
    """Brokers and their size for so many bytes per second, of the smallest size of which a cluster may have enough.

    The sink reads each record once, so as much goes out as comes in.
    """
    zones, most = int(facts.quota["broker_zones"].value), facts.quota["brokers"].value
    for size in facts.brokers:
        takes = min(size.ingress, size.egress) * MEGABYTE
        count = zones * ceil(_units(ingress / takes, facts) / zones)
        if count <= most:
            break
    return count, size


def _api(load: Load, now: Settings, facts: Facts) -> Need:
    requests, quota, wanted = requests_per_second(load), facts.quota["api_requests"], throttling_rate(load, facts)
    return Need(
        "API Gateway",
        f"ThrottlingRate: {wanted:,}",
        1,
        requests,
        "requests/s",
        quota,
        _holds(load, requests_per_second, now.throttling_rate),
        api_dollars(requests, facts),
        f"{wanted:,} requests/s for the account" if wanted > quota.value else "",
    )


def _request(load: Load, facts: Facts) -> Need:
    records = load.records * LAYERS / requests_per_second(load)
    needed = f"up to {records * max(record_bytes(facts)) / MEGABYTE:.2f} MB"
    return Need("a request", needed, 1, records, "records", facts.quota["put_records"], None)


def _rest_proxy(load: Load, facts: Facts) -> Need:
    cores = proxy_cores(load, facts)
    instances = ceil(_units(cores, facts) / PROXY_CORES)
    return Need(
        "REST proxy",
        f"instances of {PROXY_CORES} cores: {instances:,}",
        instances * PROXY_CORES,
        cores,
        "cores",
        _core(facts.measured["proxy_batched"], cores / load.records),
        _holds(load, lambda other: proxy_cores(other, facts), facts.present["proxy_cores"].value),
        instances * facts.price["proxy_instance"].value,
    )


def _kafka(load: Load, now: Settings, facts: Facts, partitions: int) -> Need:
    rate = facts.measured["partition_records"]
    needed, holds = f"partitions per topic: {partitions:,}", now.partitions * rate.value
    return Need("Kafka topic", needed, partitions, load.posts, "records/s", rate, holds)


def _brokers(load: Load, facts: Facts, partitions: int) -> Need:
    ingress = load.posts * sum(record_bytes(facts))
    count, size = brokers(ingress, facts)
    replicas, most = partitions * len(TABLES) * facts.quota["broker_zones"].value, facts.quota["broker_partitions"]
    excess = []
    if count > facts.quota["brokers"].value:
        excess.append(f"{count:,} brokers per cluster")
    if replicas / count > most.value:
        excess.append(f"more than {most.value:,.0f} {most.unit}")
    stored = ingress * 3600 * facts.present["kafka_retention_hours"].value / GIGABYTE
    return Need(
        "MSK",
        f"{count:,} × {size.name}",
        count,
        ingress / MEGABYTE,
        "MB/s",
        _published(facts, size),
        None,
        count * facts.price["broker"].value * size.ingress / facts.brokers[0].ingress
        + ingress * 3600 / GIGABYTE * facts.price["broker_ingress"].value
        + stored * facts.price["broker_storage"].value / HOURS,
        ", ".join(excess),
    )


def _sink(load: Load, now: Settings, facts: Facts) -> Need:
    cores = sink_cores(load, facts)
    count, each = workers(_units(cores, facts), facts)
    per_post = cores / load.posts
    tasks = min(now.tasks, now.partitions * len(TABLES))  # a task without a partition does nothing
    return Need(
        "S3 sink",
        f"{count:,} × {each} MCUs",
        count * each,
        cores,
        "cores",
        _core(facts.measured["path_seconds"], cores / load.records),
        min(tasks, facts.present["mcus"].value) / per_post,
        count * each * facts.price["mcu"].value,
    )


def _s3(load: Load, now: Settings, facts: Facts, partitions: int) -> Need:
    rotate = max(load.s3_seconds, now.rotate_seconds)
    per_second = partitions * len(TABLES) / rotate
    puts = sum(
        partitions / rotate * _puts(load.posts * rotate / partitions * each, now) for each in record_bytes(facts)
    )
    kept = load.posts * sum(record_bytes(facts)) * 86_400 * load.days / GIGABYTE
    quota = facts.quota["prefix_puts"]
    return Need(
        "S3",
        f"objects/h: {per_second * 3600:,.0f}",
        1,
        puts,
        "PUTs/s",
        quota,
        _holds(load, lambda other: _puts_now(other, now, facts), quota.value),
        puts * 3600 / 1e6 * facts.price["s3_puts"].value + kept * facts.price["s3_storage"].value / HOURS,
        "keys that are spread over several prefixes" if puts > quota.value else "",
    )


def _batch(load: Load, now: Settings, facts: Facts) -> Need:
    fixed, core_seconds = _batch_costs(facts)
    records = load.records * 86_400 * load.days
    seconds = load.batch_hours * 3600
    reserved = seconds * facts.quota["utilisation"].value - fixed
    if reserved <= 0:
        raise PinflowError(
            f"size: a batch takes {fixed:.0f} s whatever the number of cores, too long for {load.batch_hours:g} h",
            "give it more time with --batch-hours",
        )
    cores = max(1, ceil(records * core_seconds / reserved))
    return Need(
        "Spark, batch",
        f"cores: {cores:,}, for {load.batch_hours:g} h a day",
        cores,
        records * core_seconds / (seconds - fixed),
        "cores",
        _core(facts.measured["batch_100_seconds"], core_seconds),
        (seconds - fixed) * now.spark_cores / core_seconds / (records / load.posts),
        _nodes_dollars(cores, facts) * min(load.batch_hours, 24) / 24,
    )


def _kinesis(load: Load, now: Settings, facts: Facts, shards: int) -> Need:
    total, most = shards * len(TABLES), facts.quota["shards"].value
    per_record = [facts.quota["shard_records"], facts.quota["shard_bytes"]]
    volume = load.posts * max(record_bytes(facts))
    by_bytes = volume / per_record[1].value > load.posts / per_record[0].value
    bound, arrives, unit = (per_record[1], volume, "bytes/s") if by_bytes else (per_record[0], load.posts, "records/s")
    present = now.shards or facts.quota["on_demand_shards"].value
    units = sum(load.posts * ceil(each / PUT_UNIT) for each in record_bytes(facts))
    return Need(
        "Kinesis stream",
        f"shards per stream: {shards:,}",
        shards,
        arrives,
        unit,
        bound,
        present * bound.value * load.posts / arrives,
        total * facts.price["shard"].value + units * 3600 / 1e6 * facts.price["put_units"].value,
        f"{total:,} shards for the account" if total > most else "",
    )


def _streams(load: Load, now: Settings, facts: Facts, trigger: float) -> Need:
    commits = len(TABLES) * facts.measured["commit_seconds"].value / trigger
    cores = stream_cores(load, facts)
    count = _units(cores + commits, facts)
    return Need(
        "Spark, streams",
        f"cores: {count:,}",
        count,
        cores + commits,
        "cores",
        _core(facts.measured["stream_records"], cores / load.records),
        now.spark_cores / (cores / load.posts),
        _nodes_dollars(count, facts),
    )


def _delta(facts: Facts, trigger: float) -> Need:
    commit = facts.measured["commit_seconds"]
    per_hour = len(TABLES) * 3600 / trigger
    needed = f"commits/h: {per_hour:,.0f}, one per {trigger:g} s"
    core = Fact(1, f"core; {commit.value:g} s per commit", commit.source, commit.date)
    return Need("Delta table", needed, 1, commit.value / trigger, "cores", core, None)


def _changes(load: Load, now: Settings, facts: Facts, needs: dict[str, Need], partitions: int, shards: int) -> Changes:
    """The settings that are too small, in the order of the path; then those without a number now."""
    template, sink = "localstack/template.yaml", "services/connect/s3-sink.json"
    rate = throttling_rate(load, facts)
    yield from _more(template, "ThrottlingRate, Default", now.throttling_rate, rate)
    burst = min(2 * rate, facts.quota["api_burst"].value)
    yield from _more(template, "ThrottlingBurst, Default", now.throttling_burst, burst)
    instances = needs["REST proxy"].amount / PROXY_CORES
    yield from _more("docs/aws.md, step 4", "instances, rest_proxy.url: their load balancer", 1, instances)
    size = needs["MSK"].needed
    yield Change("docs/aws.md, step 2", "brokers", "3 × kafka.t3.small, of unpublished throughput", size)
    yield from _more("the profile", "kafka.partitions", now.partitions, partitions)
    yield from _more(sink, "tasks.max", now.tasks, partitions * len(TABLES))
    rotate = max(load.s3_seconds, now.rotate_seconds)
    yield from _more(sink, "rotate.schedule.interval.ms", now.rotate_seconds * 1000, rotate * 1000)
    flush = _rounded(load.posts * rotate / partitions / facts.quota["utilisation"].value)
    yield from _more(sink, "flush.size", now.flush_size, flush)
    mcus = facts.present["mcus"].value
    yield from _more("pinflow/deploy/connector.py", "mcuCount × workerCount", mcus, needs["S3 sink"].amount)
    present = now.shards or facts.quota["on_demand_shards"].value
    yield from _more(
        "the profile", "kinesis.shards", present, shards, "" if now.shards else "null: on demand, 4 at first"
    )
    cores = needs["Spark, batch"].amount + needs["Spark, streams"].amount
    yield from _more("Databricks, the cluster", "cores while the batch runs", now.spark_cores, cores)
    trigger = f'trigger(processingTime="{trigger_seconds(facts):g} seconds")'
    yield Change("spark/pinterest/stream.py", "write()", "as soon as the last batch ends", trigger)


def _more(where: str, key: str, now: float, needed: float, shown: str = "") -> Changes:
    """The change of a setting that is too small; ``shown`` stands for its value now."""
    if needed > now:
        yield Change(where, key, shown or f"{now:,.0f}", f"{needed:,.0f}")


def _batch_costs(facts: Facts) -> tuple[float, float]:
    """Seconds of a batch without records, and core seconds per record."""
    few, many = facts.measured["batch_1_records"].value, facts.measured["batch_100_records"].value
    short, long = facts.measured["batch_1_seconds"].value, facts.measured["batch_100_seconds"].value
    slope = (long - short) / (many - few)
    return short - slope * few, slope * facts.measured["cores"].value


def _nodes_dollars(cores: float, facts: Facts) -> float:
    """Dollars per hour of workers with so many cores and of a driver."""
    price = facts.price
    node = price["spark_instance"].value + price["spark_dbus"].value * price["dbu"].value
    return (ceil(cores / NODE_CORES) + 1) * node


def _puts(object_bytes: float, now: Settings) -> int:
    """Requests that write one object: the sink begins an upload, sends its parts and completes it, however small it is.

    https://github.com/confluentinc/kafka-connect-storage-cloud, S3OutputStream.java
    """
    return 2 + max(1, ceil(object_bytes / now.part_bytes))


def _puts_now(load: Load, now: Settings, facts: Facts) -> float:
    """PUTs per second with the present flush size and schedule, at most."""
    objects = now.partitions / now.rotate_seconds + load.posts / now.flush_size
    return objects * sum(_puts(now.flush_size * each, now) for each in record_bytes(facts))


def _holds(load: Load, uses: Callable[[Load], float], most: float) -> float:
    """Posts per second at which a load like this one uses ``most``; the use must grow with the posts."""
    low, high = 0.0, 1.0
    while uses(replace(load, posts=high)) < most:
        low, high = high, high * 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if uses(replace(load, posts=middle)) < most else (low, middle)
    return high


def _units(load: float, facts: Facts) -> int:
    """Whole units for a load that is measured in units, with the reserve; one at least."""
    return max(1, ceil(load / facts.quota["utilisation"].value))


def _rounded(value: float) -> int:
    """Up to two digits: 33,334 → 34,000."""
    step: int = 10 ** max(0, len(str(ceil(value))) - 2)
    return ceil(value / step) * step


def _core(measured: Fact, seconds: float) -> Fact:
    """One core, as the bound of a record that takes so many seconds of it; ``measured`` says where that comes from."""
    return Fact(1, f"core; {seconds * 1e6:.0f} µs per record", measured.source, measured.date, measured.note)


def _published(facts: Facts, size: Broker) -> Fact:
    return Fact(min(size.ingress, size.egress), "MB/s per broker", facts.brokers_source, facts.quota["brokers"].date)
