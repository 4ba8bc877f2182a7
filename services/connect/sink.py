"""A running sink connector: its tasks, and the thread that finds the topics and assigns their partitions."""

from __future__ import annotations

import threading

from kafka import KafkaAdminClient, TopicPartition
from kafka.errors import KafkaError

from foundation import supervised
from services.connect.compat import connect
from services.connect.config import SinkConfig
from services.connect.task import Task


def assign_partitions(
    found: dict[TopicPartition, str], held: list[dict[TopicPartition, str]]
) -> list[dict[TopicPartition, str]]:
    """Assign partitions (with their topic ids) to tasks: none moves, new ones go to the task with the fewest."""
    assigned = [{tp: found[tp] for tp in task if tp in found} for task in held]
    kept = {tp for task in assigned for tp in task}
    for tp in sorted(found.keys() - kept):
        min(assigned, key=len, default={})[tp] = found[tp]
    return assigned


class Sink:
    """The tasks of one connector, from start to stop.

    As in the consumer group of a real sink, the partitions of a task that failed go to the others, and whenever topics,
    partitions or running tasks change, all partitions are reopened.
    """

    def __init__(self, config: SinkConfig, bootstrap_servers: str, commit_seconds: float) -> None:
        self.config = config
        self._bootstrap_servers = bootstrap_servers
        self._commit_seconds = commit_seconds
        self._stopping = threading.Event()
        self._changed = threading.Event()  # whether the partitions must be assigned again at once
        self._lock = threading.Lock()  # of the tasks and of what is assigned to them
        self._assigned: dict[Task, dict[TopicPartition, str]] = {}
        self._generation = 0
        self._paused = False
        self.tasks = [self._new_task(number) for number in range(config.tasks_max)]
        self._finder = f"search for topics of {config.name}"

    def _new_task(self, number: int) -> Task:
        return Task(self.config, number, self._bootstrap_servers, self._commit_seconds, self._changed.set)

    def start(self) -> None:
        """Start the tasks and the search for topics."""
        for task in self.tasks:
            task.start()
        away = (KafkaError, OSError)
        supervised.start(self._finder, self._find_topics, stopping=self._stopping, known=away)

    def pause(self, paused: bool) -> None:
        """Pause or resume the tasks; takes effect within half a second."""
        with self._lock:
            self._paused = paused
            for task in self.tasks:
                task.paused = paused

    def stop(self) -> None:
        """Stop everything; buffered records are written first if S3 takes them within a few seconds."""
        self._stopping.set()
        self._changed.set()
        with self._lock:
            for task in self.tasks:
                task.ask_to_stop()
            for task in self.tasks:
                task.wait_stopped()

    def restart_task(self, number: int) -> None:
        """Stop a task and start a new one; after `stop` this only stops it."""
        with self._lock:
            self.tasks[number].wait_stopped()
            if self._stopping.is_set():
                return
            task = self._new_task(number)
            task.state = "RESTARTING"
            task.paused = self._paused
            self.tasks[number] = task
            task.start()
        self._changed.set()

    @property
    def topics(self) -> set[str]:
        """The topics of which records were read since the start."""
        return {topic for task in self.tasks for topic in task.topics}

    def _find_topics(self) -> None:
        with connect(KafkaAdminClient, self._bootstrap_servers, reconnect_backoff_max_ms=1000) as admin:
            while not self._stopping.is_set():
                self._changed.clear()
                found = self._partitions(admin)
                with self._lock:
                    self._assign(found)
                supervised.recovered(self._finder)
                self._changed.wait(self.config.metadata_seconds)

    def _assign(self, found: dict[TopicPartition, str]) -> None:
        """Assign the partitions to the tasks that have not failed."""
        tasks = [task for task in self.tasks if task.state != "FAILED"]
        held = [self._assigned.get(task, {}) for task in tasks]
        assigned = dict(zip(tasks, assign_partitions(found, held), strict=True))
        if assigned != self._assigned:
            self._assigned = assigned
            self._generation += 1
            for task, partitions in assigned.items():
                task.assign(partitions, self._generation)

    def _partitions(self, admin: KafkaAdminClient) -> dict[TopicPartition, str]:
        """The partitions of the topics that the connector reads, each with the topic's id."""
        return {
            TopicPartition(topic["name"], partition["partition_index"]): str(topic["topic_id"])
            for topic in admin.describe_topics()
            if topic["error_code"] == 0 and not topic["is_internal"] and self.config.reads(topic["name"])
            for partition in topic["partitions"]
        }
