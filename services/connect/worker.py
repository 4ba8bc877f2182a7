"""The worker: its connectors by name, their target states and life cycle, as the REST API sees them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from kafka import KafkaAdminClient, TopicPartition
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata

from services.connect import options
from services.connect.clients import connect
from services.connect.config import SinkConfig, parse
from services.connect.config_topic import ConfigTopic
from services.connect.errors import ConfigError
from services.connect.sink import Sink

log = logging.getLogger(__name__)

Config = dict[str, str | None]

ADMIN_SECONDS = 15  # for a question to Kafka behind a REST call


class RestError(Exception):
    """An error answer of the REST API."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass
class Connector:
    """A connector: properties as they were put, target state, and its tasks while it is started.

    ``failure`` says why stored properties could not be used (a worker update may refuse what it took before).
    Only the holder of the worker's lock for this name changes it.
    """

    properties: Config
    state: str = "STARTED"
    config: SinkConfig | None = None
    sink: Sink | None = None
    failure: str | None = None


class Worker:
    """One worker of a Connect cluster of one; ``properties`` are the worker's own (`CONNECT_*`, rendered).

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
            self._start_tasks(connector)
        log.info("connectors: %s", ", ".join(self._connectors) or "none yet")

    def stop(self) -> None:
        """Stop all tasks; what they have buffered is written first if S3 takes it within a few seconds."""
        self._stopped.set()
        for name in self.names():
            with self._lock(name):
                if name in self._connectors:
                    self._stop_tasks(self._connectors[name])
        self._store.close()

    @property
    def cluster_id(self) -> str:
        """The id of the Kafka cluster."""
        return self._store.cluster_id

    def names(self) -> list[str]:
        """The connectors' names."""
        return sorted(self._connectors)

    def _lock(self, name: str) -> threading.RLock:
        """The lock that is held through every change of the connector of this name.

        It outlives the connector: who waits for it while another deletes the connector must see that, and not start
        tasks that nobody can stop any more.
        """
        return self._locks.setdefault(name, threading.RLock())

    @contextmanager
    def _changing(self, name: str, message: str = "Connector {} not found") -> Iterator[Connector]:
        """The connector, which nobody else changes meanwhile; raises RestError 404 if there is none by then."""
        self._get(name, message)  # so that no lock is made for every name that somebody asks for
        with self._lock(name):
            yield self._get(name, message)

    def _get(self, name: str, message: str = "Connector {} not found") -> Connector:
        connector = self._connectors.get(name)
        if connector is None:
            raise RestError(404, message.format(name))
        return connector

    # -- configuration -------------------------------------------------------------------------------------------

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
            self._stop_tasks(connector)
            connector.properties, connector.config, connector.failure = properties, config, None
            self._start_tasks(connector)
        return new

    def _checked(self, name: str, properties: Config) -> SinkConfig:
        if not properties.get("connector.class"):
            shown = ", ".join(f"{key}={'null' if value is None else value}" for key, value in properties.items())
            raise RestError(400, f"Connector config {{{shown}}} contains no connector type")
        if properties["name"] != name:
            raise RestError(
                400,
                f"Connector name configuration ({properties['name']}) doesn't match connector name in the URL ({name})",
            )
        if options.OPTIONS["connector.class"].allowed.count(str(properties["connector.class"])) == 0:
            raise RestError(
                400,
                "Failed to find any class that implements Connector and which name matches "
                f"{properties['connector.class']}, available connectors are: {options.CONNECTOR_CLASS} (stand-in)",
            )
        try:
            return parse(properties, self._properties)
        except ConfigError as error:
            raise RestError(400, error.what) from None

    def validate(self, properties: Config) -> dict[str, list[str]]:
        """What is wrong with a configuration, by option."""
        return options.errors(properties, self._properties)

    def patch(self, name: str, changes: Config) -> dict[str, Any]:
        """Change single properties; null removes one."""
        with self._changing(name) as connector:
            merged = {**connector.properties, **changes}
            self.put(name, {key: value for key, value in merged.items() if value is not None})
            return self.info(name)

    def delete(self, name: str) -> None:
        """Delete a connector; its committed offsets stay, as with the real worker."""
        with self._changing(name) as connector:
            self._stored(self._store.write, name, None)
            self._stop_tasks(connector)
            del self._connectors[name]

    def info(self, name: str) -> dict[str, Any]:
        """Name, configuration, task ids and type."""
        connector = self._get(name)
        tasks = [{"connector": name, "task": task} for task in range(self._task_count(connector))]
        return {"name": name, "config": connector.properties, "tasks": tasks, "type": "sink"}

    def tasks(self, name: str) -> list[dict[str, Any]]:
        """The tasks' ids and configurations."""
        connector = self._get(name)
        config = {**connector.properties, "task.class": "io.confluent.connect.s3.S3SinkTask"}
        count = self._task_count(connector)
        return [{"id": {"connector": name, "task": task}, "config": config} for task in range(count)]

    @staticmethod
    def _task_count(connector: Connector) -> int:
        if connector.state == "STOPPED" or connector.config is None:
            return 0
        return connector.config.tasks_max

    def _stored(self, write: Callable[..., None], *arguments: Any) -> None:
        try:
            write(*arguments)
        except KafkaError as error:
            raise RestError(500, f"Failed to write to the config storage topic: {error}") from None

    # -- states --------------------------------------------------------------------------------------------------

    def status(self, name: str) -> dict[str, Any]:
        """The states of connector and tasks; a FAILED one has a trace."""
        connector = self._connectors.get(name)
        if connector is None:
            raise RestError(404, f"No status found for connector {name}")
        about = {"worker_id": self.id, "version": options.VERSION}
        state = {"STARTED": "RUNNING"}.get(connector.state, connector.state)
        own: dict[str, Any] = {"state": state, **about}
        if connector.failure:
            own = {"state": "FAILED", **about, "trace": connector.failure}
        tasks: list[dict[str, Any]] = []
        running = list(sink.tasks) if (sink := connector.sink) else []
        for number in range(self._task_count(connector)):
            task = running[number] if number < len(running) else None
            shown = {"id": number, "state": task.state if task else "PAUSED", **about}
            tasks.append(shown | ({"trace": task.trace} if task and task.trace else {}))
        return {"name": name, "connector": own, "tasks": tasks, "type": "sink"}

    def task_status(self, name: str, task: int) -> dict[str, Any]:
        """The state of one task."""
        for status in self.status(name)["tasks"]:
            if status["id"] == task:
                return dict(status)
        raise RestError(404, f"No status found for task {name}-{task}")

    def set_state(self, name: str, state: str) -> None:
        """Pause (PAUSED), stop (STOPPED) or resume (STARTED); returns when it is done."""
        with self._changing(name, "Unknown connector {}") as connector:
            self._stored(self._store.write_state, name, state)
            connector.state = state
            self._stop_tasks(connector) if state != "STARTED" else self._start_tasks(connector)

    def restart(self, name: str, *, tasks: bool, only_failed: bool) -> dict[str, Any]:
        """Restart the connector; its tasks only if ``tasks``, of these only the failed ones if ``only_failed``."""
        with self._changing(name, "Unknown connector: {}") as connector:
            status = self.status(name)
            if tasks and connector.sink is not None:
                for shown in status["tasks"]:
                    if shown["state"] == "FAILED" or not only_failed:
                        connector.sink.restart_task(shown["id"])
                        shown["state"] = "RESTARTING"
                        shown.pop("trace", None)
        if not only_failed:
            status["connector"]["state"] = "RESTARTING"
        return status

    def restart_task(self, name: str, task: int) -> None:
        """Restart one task."""
        with self._changing(name, "Unknown connector: {}") as connector:
            if connector.sink is None or task >= len(connector.sink.tasks):
                raise RestError(404, f"Unknown task: {name}-{task}")
            connector.sink.restart_task(task)

    def topics(self, name: str) -> list[str]:
        """The topics of which the connector read records since its tasks started."""
        connector = self._connectors.get(name)
        return sorted(sink.topics) if connector and (sink := connector.sink) else []

    def _start_tasks(self, connector: Connector) -> None:
        wanted = connector.state == "STARTED" and not self._stopped.is_set()
        if wanted and connector.sink is None and connector.config is not None:
            connector.sink = Sink(connector.config, self._bootstrap_servers, self._commit_seconds)
            connector.sink.start()

    @staticmethod
    def _stop_tasks(connector: Connector) -> None:
        if connector.sink is not None:
            connector.sink.stop()
            connector.sink = None

    # -- offsets -------------------------------------------------------------------------------------------------

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
        """Delete the committed offsets: all records that S3 does not hold land again, from the earliest on."""
        group = self._offsets_group(name)
        with self._changing(name):
            self._require_stopped(name)
            result = self._ask(lambda admin: admin.delete_groups([group])[group])
        if result not in ("OK", "GroupIdNotFoundError"):
            raise RestError(500, f"Failed to reset consumer group offsets for connector {name}: {result}")

    def alter_offsets(self, name: str, offsets: list[tuple[str, int, int | None]]) -> None:
        """Set committed offsets: (topic, partition, offset); an offset of None deletes that partition's."""
        group = self._offsets_group(name)
        new = {TopicPartition(t, p): OffsetAndMetadata(o, "", -1) for t, p, o in offsets if o is not None}
        gone = [TopicPartition(topic, partition) for topic, partition, offset in offsets if offset is None]

        def alter(admin: KafkaAdminClient) -> list[Any]:
            results = list(admin.alter_group_offsets(group, new).values()) if new else []
            return results + (list(admin.delete_group_offsets(group, gone).values()) if gone else [])

        with self._changing(name):
            self._require_stopped(name)
            failed = [result.__name__ for result in self._ask(alter) if result.__name__ != "NoError"]
        if failed:
            raise RestError(500, f"Failed to alter consumer group offsets for connector {name}: {', '.join(failed)}")

    def _offsets_group(self, name: str) -> str:
        self._get(name)
        return f"connect-{name}"

    def _require_stopped(self, name: str) -> None:
        if self._get(name).state != "STOPPED":
            raise RestError(
                400,
                "Connectors must be in the STOPPED state before their offsets can be modified. This can be done for "
                f"the specified connector by issuing a 'PUT' request to the '/connectors/{name}/stop' endpoint",
            )

    def _ask(self, question: Callable[[KafkaAdminClient], Any]) -> Any:
        """Ask Kafka; while a broker comes back its coordinator is not there yet, so ask again for a while."""
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
