"""A running sink connector: its tasks, and the thread that finds the topics and deals their partitions out."""

from __future__ import annotations

import threading

from kafka import KafkaAdminClient, TopicPartition
from kafka.errors import KafkaError

from services import supervised
from services.connect.clients import connect
from services.connect.config import SinkConfig
from services.connect.task import Task


def deal(found: dict[TopicPartition, str], held: list[dict[TopicPartition, str]]) -> list[dict[TopicPartition, str]]:
    """Deal partitions (with their topic ids) out to tasks: nothing moves, new ones go to the task with the fewest."""
    dealt = [{tp: found[tp] for tp in task if tp in found} for task in held]
    taken = {tp for task in dealt for tp in task}
    for tp in sorted(found.keys() - taken):
        min(dealt, key=len)[tp] = found[tp]
    return dealt


class Sink:
    """The tasks of one connector, from start to stop."""

    def __init__(self, config: SinkConfig, bootstrap_servers: str, commit_seconds: float) -> None:
        self._config = config
        self._bootstrap_servers = bootstrap_servers
        self._commit_seconds = commit_seconds
        self._stopping = threading.Event()
        self._lock = threading.Lock()  # of the tasks and of what is dealt to them
        self._dealt: list[dict[TopicPartition, str]] = [{} for _ in range(config.tasks_max)]
        self.tasks = [self._new_task(number) for number in range(config.tasks_max)]
        self._finder = f"search for topics of {config.name}"

    def _new_task(self, number: int) -> Task:
        return Task(self._config, number, self._bootstrap_servers, self._commit_seconds)

    def start(self) -> None:
        """Start the tasks and the search for topics."""
        for task in self.tasks:
            task.start()
        away = (KafkaError, OSError)
        supervised.start(self._finder, self._find_topics, stopping=self._stopping, known=away)

    def stop(self) -> None:
        """Stop everything; buffered records are written first if S3 takes them within a few seconds."""
        self._stopping.set()
        with self._lock:
            for task in self.tasks:
                task.ask_to_stop()
            for task in self.tasks:
                task.wait_stopped()

    def restart_task(self, number: int) -> None:
        """Stop a task and start it anew with the same partitions; after `stop` it only stops."""
        with self._lock:
            self.tasks[number].wait_stopped()
            if self._stopping.is_set():
                return
            task = self._new_task(number)
            task.assign(self._dealt[number])
            self.tasks[number] = task
            task.start()

    @property
    def topics(self) -> set[str]:
        """The topics of which records were read since the start."""
        return {topic for task in self.tasks for topic in task.topics}

    def _find_topics(self) -> None:
        with connect(KafkaAdminClient, self._bootstrap_servers, reconnect_backoff_max_ms=1000) as admin:
            while not self._stopping.is_set():
                found = self._partitions(admin)
                with self._lock:
                    self._dealt = deal(found, self._dealt)
                    for task, partitions in zip(self.tasks, self._dealt, strict=True):
                        task.assign(partitions)
                supervised.recovered(self._finder)
                self._stopping.wait(self._config.metadata_seconds)

    def _partitions(self, admin: KafkaAdminClient) -> dict[TopicPartition, str]:
        """The partitions of the topics that the connector takes, each with the topic's id."""
        return {
            TopicPartition(topic["name"], partition["partition_index"]): str(topic["topic_id"])
            for topic in admin.describe_topics()
            if topic["error_code"] == 0 and not topic["is_internal"] and self._config.takes(topic["name"])
            for partition in topic["partitions"]
        }
