"""The worker: its connectors by name, their target states and life cycle, as the REST API sees them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from kafka import KafkaAdminClient, TopicPartition
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata

from services.connect import options
from services.connect.compat import connect
from services.connect.config import SinkConfig, parse
from services.connect.config_topic import ConfigTopic
from services.connect.errors import ConfigError
from services.connect.sink import Sink

log = logging.getLogger(__name__)

Config = dict[str, str | None]

LAG = 0.2
"""Seconds until a call takes effect; in the real worker 0.02 to over 1 s."""
ADMIN_SECONDS = 15  # for a request to Kafka behind a REST call


class RestError(Exception):
    """An error answer of the REST API."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass
class Connector:
    """A connector: properties as they were put, target state, and its tasks while it is started.

    ``failure`` is the trace of why it cannot start, ``shown`` its own state in the status, None before there is one.
    Only the holder of the worker's lock for this name changes it.
    """

    properties: Config
    state: str = "STARTED"
    config: SinkConfig | None = None
    sink: Sink | None = None
    failure: str | None = None
    shown: str | None = None
    task_count: int = 0
    restarting: set[int] = field(default_factory=set)


class Worker:
    """One worker of a Connect cluster of one; ``properties`` are the worker's own (`CONNECT_*`, rendered).

    A put, pause, stop, resume or delete is stored at once and takes effect LAG seconds later, as in the real worker,
    whose herder learns of it from the config topic; until then the status is the old one. Calls that need the target
    state (offsets, restarts) apply it first; those of the real worker wait for the herder.

    Methods raise RestError with the statuses and messages of Apache Kafka Connect 4.3, recorded from the real one.
    """

    def __init__(self, properties: Mapping[str, str]) -> None:
        self._properties = properties
        self._bootstrap_servers = properties["bootstrap.servers"]
        self._commit_seconds = int(properties.get("offset.flush.interval.ms", "60000")) / 1000
        self._store = ConfigTopic(
            self._bootstrap_servers,
            properties["config.storage.topic"],
            int(properties.get("config.storage.replication.factor", "3")),
        )
        port = properties.get("rest.advertised.port") or properties["listeners"].rpartition(":")[2]
        self.id = f"{properties['rest.advertised.host.name']}:{port}"
        self._connectors: dict[str, Connector] = {}
        self._deleted: dict[str, Connector] = {}  # whose tasks are still to be stopped
        self._locks: dict[str, threading.RLock] = {}
        self._stopped = threading.Event()

    def start(self) -> None:
        """Start the connectors that the config topic holds."""
        configs, states = self._store.load()
        for name, properties in configs.items():
            connector = Connector(properties, states.get(name, "STARTED"))
            self._connectors[name] = connector
            try:
                connector.config = parse(properties, self._properties)
            except ConfigError as error:
                connector.failure = f"org.apache.kafka.common.config.ConfigException: {error.what}\n"
                log.error("connector %s: %s", name, error.what)
            if connector.state == "PAUSED" and connector.config is not None:
                self._start_tasks(connector, connector.config)  # it has run before, and its tasks are paused
            self.apply(name)
        log.info("connectors: %s", ", ".join(self._connectors) or "none yet")

    def stop(self) -> None:
        """Stop all tasks; what they have buffered is written first if S3 takes it within a few seconds."""
        self._stopped.set()
        for name in {*self._connectors, *self._deleted}:
            with self._lock(name):
                for connector in (self._connectors.get(name), self._deleted.pop(name, None)):
                    if connector is not None:
                        self._stop_tasks(connector)
        self._store.close()

    def _apply_later(self, name: str) -> None:
        """Apply the target state in LAG seconds."""
        timer = threading.Timer(LAG, self.apply, [name])
        timer.daemon = True
        timer.start()

    def apply(self, name: str) -> None:
        """Bring the connector of this name to its target state."""
        with self._lock(name):
            deleted = self._deleted.pop(name, None)
            if deleted is not None:
                self._stop_tasks(deleted)
            connector = self._connectors.get(name)
            if connector is None or self._stopped.is_set():
                return
            if connector.state == "STARTED":
                self._apply_started(connector)
            else:
                connector.shown = connector.state
                if connector.state == "STOPPED":
                    self._stop_tasks(connector)
                elif connector.sink is not None:
                    connector.sink.pause(True)
            restarting, connector.restarting = connector.restarting, set()
            for task in restarting:
                if connector.sink is not None and task < len(connector.sink.tasks):
                    connector.sink.restart_task(task)

    def _apply_started(self, connector: Connector) -> None:
        config = connector.config
        if config is not None:
            connector.failure = config.failure
        connector.shown = "FAILED" if connector.failure else "RUNNING"
        if connector.sink is not None:
            connector.sink.pause(False)
        # Without a valid configuration the tasks of the former one keep running, as in the real worker.
        if config is not None and not connector.failure and (not connector.sink or connector.sink.config is not config):
            self._stop_tasks(connector)
            self._start_tasks(connector, config)

    def _start_tasks(self, connector: Connector, config: SinkConfig) -> None:
        connector.sink = Sink(config, self._bootstrap_servers, self._commit_seconds)
        connector.sink.pause(connector.state == "PAUSED")
        connector.sink.start()
        connector.task_count = config.tasks_max

    @staticmethod
    def _stop_tasks(connector: Connector) -> None:
        connector.restarting.clear()
        if connector.sink is not None:
            connector.sink.stop()
            connector.sink = None

    @property
    def cluster_id(self) -> str:
        """The id of the Kafka cluster."""
        return self._store.cluster_id

    def names(self) -> list[str]:
        """The connectors' names."""
        return sorted(self._connectors)

    def _lock(self, name: str) -> threading.RLock:
        """The lock that is held through every change of the connector of this name.

        It outlives the connector: a thread that waits for it while another deletes the connector must see that, and not
        start tasks that nothing can stop any more.
        """
        return self._locks.setdefault(name, threading.RLock())

    @contextmanager
    def _changing(self, name: str, message: str = "Connector {} not found") -> Iterator[Connector]:
        """The connector, locked; raises RestError 404 if there is none by then."""
        self._get(name, message)  # so that no lock is created for unknown names
        with self._lock(name):
            yield self._get(name, message)

    def _get(self, name: str, message: str = "Connector {} not found") -> Connector:
        connector = self._connectors.get(name)
        if connector is None:
            raise RestError(404, message.format(name))
        return connector

    def put(self, name: str, properties: Config, *, state: str | None = None, create: bool = False) -> bool:
        """Create or update a connector; True if it is new. ``create``: an existing one is a 409."""
        properties = {**properties, "name": properties.get("name") or name}
        config = self._checked(name, properties)
        with self._lock(name):
            connector = self._connectors.get(name)
            new = connector is None
            if connector is not None and create:
                raise RestError(409, f"Connector {name} already exists")
            if state is not None:
                self._stored(self._store.write_state, name, state)
            self._stored(self._store.write, name, properties)
            if connector is None:
                self._connectors[name] = connector = Connector(properties, state or "STARTED")
            if connector.config is None or connector.properties != properties:  # else its tasks keep running
                connector.properties, connector.config = properties, config
            self._apply_later(name)
        return new

    def _checked(self, name: str, properties: Config) -> SinkConfig:
        if properties["name"] != name:
            raise RestError(
                400,
                f"Connector name configuration ({properties['name']}) doesn't match connector name in the URL ({name})",
            )
        if problem := _class_problem(properties):
            raise RestError(400, problem)
        try:
            return parse(properties, self._properties)
        except ConfigError as error:
            raise RestError(error.status, error.what) from None

    def validate(self, properties: Config) -> tuple[dict[str, str], dict[str, list[str]]]:
        """The values of a configuration with all defaults, and its errors by option."""
        for check in (_class_problem, lambda properties: options.crash(properties, self._properties)):
            if problem := check(properties):
                raise RestError(500, f"org.apache.kafka.connect.runtime.rest.errors.BadRequestException: {problem}")
        return options.effective(properties, self._properties), options.errors(properties, self._properties)

    def patch(self, name: str, changes: Config) -> dict[str, Any]:
        """Change single properties; null deletes one."""
        with self._changing(name) as connector:
            merged = {**connector.properties, **changes, "name": name}
            self.put(name, {key: value for key, value in merged.items() if value is not None})
            return self.info(name)

    def delete(self, name: str) -> None:
        """Delete a connector; its committed offsets stay, as with the real worker."""
        with self._changing(name):
            self._stored(self._store.write, name, None)
            connector = self._connectors.pop(name)
            self._deleted.setdefault(name, connector)  # a connector put meanwhile has no tasks before these stop
            self._apply_later(name)

    def info(self, name: str) -> dict[str, Any]:
        """Name, configuration, task ids and type."""
        connector = self._get(name)
        tasks = [{"connector": name, "task": task} for task in range(connector.task_count)]
        return {"name": name, "config": connector.properties, "tasks": tasks, "type": "sink"}

    def tasks(self, name: str) -> list[dict[str, Any]]:
        """The tasks' ids and configurations."""
        connector = self._get(name)
        config = {**connector.properties, "task.class": "io.confluent.connect.s3.S3SinkTask"}
        return [{"id": {"connector": name, "task": task}, "config": config} for task in range(connector.task_count)]

    def _stored(self, write: Callable[..., None], *arguments: Any) -> None:
        try:
            write(*arguments)
        except KafkaError as error:
            raise RestError(500, f"Failed to write to the config storage topic: {error}") from None

    def status(self, name: str) -> dict[str, Any]:
        """The states of connector and tasks; a FAILED one has a trace. A task appears once it has started."""
        connector = self._deleted.get(name) or self._connectors.get(name)
        if connector is None or connector.shown is None:
            raise RestError(404, f"No status found for connector {name}")
        about = {"worker_id": self.id, "version": options.VERSION}
        own: dict[str, Any] = {"state": connector.shown, **about}
        if connector.shown == "FAILED":
            own["trace"] = connector.failure
        running = list(sink.tasks) if (sink := connector.sink) else []
        tasks = [
            {"id": number, "state": task.state, **about} | ({"trace": task.trace} if task.trace else {})
            for number, task in enumerate(running)
            if task.state != "UNASSIGNED"
        ]
        return {"name": name, "connector": own, "tasks": tasks, "type": "sink"}

    def task_status(self, name: str, task: int) -> dict[str, Any]:
        """The state of one task."""
        missing = f"No status found for task {name}-{task}"
        if self._get(name, missing).shown is not None:
            for status in self.status(name)["tasks"]:
                if status["id"] == task:
                    return dict(status)
        raise RestError(404, missing)

    def set_state(self, name: str, state: str) -> None:
        """Pause (PAUSED), stop (STOPPED) or resume (STARTED); takes effect LAG seconds later."""
        with self._changing(name, "Unknown connector {}") as connector:
            self._stored(self._store.write_state, name, state)
            connector.state = state
            if state == "STOPPED":
                connector.task_count = 0
            self._apply_later(name)

    def restart(self, name: str, *, tasks: bool, only_failed: bool) -> dict[str, Any] | None:
        """Restart the connector; its tasks only if ``tasks``, of these only the failed ones if ``only_failed``.

        Returns the status with what restarts LAG seconds later; None where only the connector restarts, at once.
        """
        with self._changing(name, "Unknown connector: {}") as connector:
            if not tasks and not only_failed:
                self.apply(name)
                return None
            status = self.status(name)
            for shown in status["tasks"] if tasks else []:
                if shown["state"] == "FAILED" or not only_failed:
                    connector.restarting.add(shown["id"])
                    shown["state"] = "RESTARTING"
            if not only_failed or connector.failure:
                status["connector"]["state"] = "RESTARTING"
            self._apply_later(name)
        return status

    def restart_task(self, name: str, task: int) -> None:
        """Restart one task."""
        with self._changing(name, "Unknown connector: {}") as connector:
            self.apply(name)
            if connector.sink is None or not 0 <= task < len(connector.sink.tasks):
                raise RestError(404, f"Unknown task: {name}-{task}")
            connector.sink.restart_task(task)

    def topics(self, name: str) -> list[str]:
        """The topics of which the connector read records since its tasks started, or since the last reset."""
        connector = self._connectors.get(name)
        return sorted(sink.topics) if connector and (sink := connector.sink) else []

    def reset_topics(self, name: str) -> None:
        """Forget the topics of which records were read; does nothing if there is no such connector."""
        connector = self._connectors.get(name)
        if connector and (sink := connector.sink):
            for task in list(sink.tasks):
                task.topics.clear()

    def offsets(self, name: str) -> list[dict[str, Any]]:
        """The committed offsets, as the REST API writes those of sinks."""
        group = self._offsets_group(name)
        committed = self._ask(lambda admin: admin.list_group_offsets(group)[group])
        return [
            {
                "partition": {"kafka_topic": tp.topic, "kafka_partition": tp.partition},
                "offset": {"kafka_offset": committed[tp].offset},
            }
            for tp in sorted(committed)
        ]

    def reset_offsets(self, name: str) -> None:
        """Delete the committed offsets: all records that S3 does not hold are written again, from the earliest on."""
        with self._stopped_connector(name) as group:
            result = self._ask(lambda admin: admin.delete_groups([group])[group])
        if result not in ("OK", "GroupIdNotFoundError"):
            raise RestError(500, f"Failed to reset consumer group offsets for connector {name}: {result}")

    def alter_offsets(self, name: str, offsets: list[tuple[str, int, int | None]]) -> None:
        """Set committed offsets: (topic, partition, offset); an offset of None deletes that partition's."""
        new = {TopicPartition(t, p): OffsetAndMetadata(o, "", -1) for t, p, o in offsets if o is not None}
        gone = [TopicPartition(topic, partition) for topic, partition, offset in offsets if offset is None]
        with self._stopped_connector(name) as group:
            if any(offset.offset < 0 for offset in new.values()):
                raise RestError(500, f"Failed to modify offsets for sink connector {name}")

            def alter(admin: KafkaAdminClient) -> list[Any]:
                results = list(admin.alter_group_offsets(group, new).values()) if new else []
                return results + (list(admin.delete_group_offsets(group, gone).values()) if gone else [])

            failed = [result.__name__ for result in self._ask(alter) if result.__name__ != "NoError"]
        if failed:
            raise RestError(500, f"Failed to alter consumer group offsets for connector {name}")

    @contextmanager
    def _stopped_connector(self, name: str) -> Iterator[str]:
        """The group of a stopped connector, locked; raises RestError 400 if it is not stopped."""
        with self._changing(name) as connector:
            if connector.state != "STOPPED":
                raise RestError(
                    400,
                    "Connectors must be in the STOPPED state before their offsets can be modified. This can be done "
                    "for the specified connector by issuing a 'PUT' request to the "
                    f"'/connectors/{name}/stop' endpoint",
                )
            self.apply(name)
            yield self._offsets_group(name)

    def _offsets_group(self, name: str) -> str:
        self._get(name)
        return f"connect-{name}"

    def _ask(self, question: Callable[[KafkaAdminClient], Any]) -> Any:
        """Ask Kafka; retries for a while, since a broker that restarts has no coordinator at first."""
        until = time.monotonic() + ADMIN_SECONDS
        while True:
            try:
                with connect(KafkaAdminClient, self._bootstrap_servers, bootstrap_timeout_ms=5000) as admin:
                    return question(admin)
            except KafkaError as error:
                if not error.retriable or time.monotonic() > until or self._stopped.is_set():
                    reason = f"{type(error).__name__}: {error}"
                    raise RestError(500, f"Kafka ({self._bootstrap_servers}): {reason}") from None
            self._stopped.wait(0.2)


def _class_problem(properties: Config) -> str | None:
    """Why `connector.class` is invalid; None if it is valid."""
    found = properties.get("connector.class")
    if found is None:
        shown = ", ".join(f"{key}={'null' if value is None else value}" for key, value in properties.items())
        return f"Connector config {{{shown}}} contains no connector type"
    if found not in options.OPTIONS["connector.class"].allowed:
        known = f"PluginDesc{{klass=class {options.CONNECTOR_CLASS}, version='{options.VERSION}', type=sink}}"
        return (
            f"Failed to find any class that implements Connector and which name matches {found}, "
            f"available connectors are: {known}"
        )
    return None
