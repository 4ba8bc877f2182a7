"""Each record in exactly one object: through kills, resets, outages, and with objects that others wrote."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from pathlib import Path

import pytest
from kafka import TopicPartition
from kafka.structs import OffsetAndMetadata

from tests.contract.connect.world import Pipe, World, numbered
from tests.servers.waiting import wait_for


def assert_each_once(pipe: Pipe, count: int) -> None:
    lines = pipe.lines()
    twice = [line for line, times in lines.items() if times > 1]
    missing = [line for line in numbered(0, count) if line not in lines]
    assert (twice, missing) == ([], [])


@pytest.mark.parametrize(
    ("flush_size", "records", "kills"), [pytest.param("100", 5000, 6, marks=pytest.mark.long), ("1", 400, 3)]
)
def test_kills_lose_nothing_and_write_nothing_twice(world: World, flush_size: str, records: int, kills: int) -> None:
    with Pipe(world) as pipe:
        pipe.put(flush__size=flush_size, rotate__schedule__interval__ms="200")

        def produce() -> None:
            for first in range(0, records, 20):
                pipe.send(numbered(first, first + 20))
                time.sleep(20 * 2 * kills / records)

        producing = threading.Thread(target=produce)
        producing.start()
        for _ in range(kills):
            time.sleep(random.uniform(0.2, 1.5))
            world.sink.kill()
            world.sink.start()
        producing.join()
        pipe.wait_committed(records, seconds=60)
        assert_each_once(pipe, records)


def test_what_was_written_but_not_committed_is_not_written_again(pipe: Pipe) -> None:
    """As after a kill between the PUT and the commit; the boundaries differ the second time."""
    pipe.put(flush__size="3")
    pipe.send(numbered(0, 6))
    pipe.wait_committed(6)
    before = pipe.objects()
    pipe.put(flush__size="2")
    pipe.reset()
    pipe.send(numbered(6, 8))
    pipe.wait_committed(8)
    assert pipe.objects() == {**before, pipe.key(6): b'{"n":6}\n{"n":7}\n'}


def test_a_hole_between_objects_is_filled_and_nothing_more(pipe: Pipe) -> None:
    """As after a kill with several PUTs under way, of which a later one came through."""
    pipe.put(flush__size="2")
    pipe.send(numbered(0, 8))
    pipe.wait_committed(8)
    pipe.world.s3.delete_object(Bucket=pipe.bucket, Key=pipe.key(2))
    pipe.put(flush__size="5")
    pipe.reset()
    pipe.wait_committed(8)
    assert pipe.objects()[pipe.key(2)] == b'{"n":2}\n{"n":3}\n'
    assert_each_once(pipe, 8)


def test_an_offset_set_by_hand_into_the_middle_of_an_object_writes_nothing_twice(pipe: Pipe) -> None:
    pipe.put(flush__size="4")
    pipe.send(numbered(0, 4))
    pipe.wait_committed(4)
    pipe.stop()
    partition = {"kafka_topic": pipe.topic, "kafka_partition": 0}
    offsets = [{"partition": partition, "offset": {"kafka_offset": 2}}]
    assert pipe.world.call("PATCH", f"{pipe.path}/offsets", {"offsets": offsets}).status_code == 200
    assert pipe.committed() == 2
    pipe.world.call("PUT", f"{pipe.path}/resume")
    pipe.send(numbered(4, 8))
    pipe.wait_committed(8)
    assert set(pipe.objects()) == {pipe.key(0), pipe.key(4)}


def test_objects_whose_offsets_outgrow_the_keys_width_are_found_behind_the_committed_offset(pipe: Pipe) -> None:
    """As after a kill before the commit, where S3, which compares keys as texts, puts +105 before +95."""
    pipe.put(flush__size="5", filename__offset__zero__pad__width="1")
    pipe.send(numbered(0, 115))
    pipe.wait_committed(115)
    before = pipe.objects()
    pipe.stop()
    admin = pipe.world.admin()
    (topic,) = admin.describe_topics([pipe.topic])
    own = OffsetAndMetadata(95, str(topic["topic_id"]), -1)
    admin.alter_group_offsets(f"connect-{pipe.name}", {TopicPartition(pipe.topic, 0): own})
    admin.close()
    pipe.put(flush__size="3", filename__offset__zero__pad__width="1")
    pipe.world.call("PUT", f"{pipe.path}/resume")
    pipe.send(numbered(115, 118))
    pipe.wait_committed(118)
    assert pipe.objects() == {
        **before,
        pipe.key(115).replace("0000000115", "115"): b'{"n":115}\n{"n":116}\n{"n":117}\n',
    }
    assert_each_once(pipe, 118)


def test_an_object_of_the_real_connector_is_respected(pipe: Pipe) -> None:
    """It has no metadata: its lines are counted."""
    pipe.world.s3.put_object(Bucket=pipe.bucket, Key=pipe.key(0), Body=b'{"n":0}\n{"n":1}\n{"n":2}\n')
    pipe.send(numbered(0, 5))
    pipe.put(flush__size="2")
    pipe.wait_committed(5)
    assert set(pipe.objects()) == {pipe.key(0), pipe.key(3)}
    assert_each_once(pipe, 5)


def test_an_object_that_someone_writes_meanwhile_is_never_replaced(pipe: Pipe) -> None:
    """As by a killed process whose last PUT lands late: the sink goes on behind it."""
    pipe.put(flush__size="2")
    pipe.send(numbered(0, 2))
    pipe.wait_committed(2)
    late = b'{"n":2}\n{"n":3}\n{"n":4}\n'
    pipe.world.s3.put_object(Bucket=pipe.bucket, Key=pipe.key(2), Body=late)
    pipe.send(numbered(2, 7))
    pipe.wait_committed(7)
    assert pipe.objects()[pipe.key(2)] == late
    assert_each_once(pipe, 7)


def test_a_topic_that_was_deleted_and_created_again_is_read_from_its_start(pipe: Pipe) -> None:
    pipe.put(flush__size="2")
    pipe.send(numbered(0, 2))
    pipe.wait_committed(2)
    admin = pipe.world.admin()
    admin.delete_topics([pipe.topic])
    wait_for("the topic to be gone", lambda: pipe.topic not in admin.list_topics())
    admin.close()
    pipe.create_topic(pipe.topic)
    pipe.send(numbered(10, 14))
    expected = {pipe.key(0): b'{"n":10}\n{"n":11}\n', pipe.key(2): b'{"n":12}\n{"n":13}\n'}
    wait_for("the new records in place of the old", lambda: pipe.objects() == expected)


def test_an_offset_below_retention_resumes_at_the_earliest(pipe: Pipe) -> None:
    pipe.put()
    pipe.send(numbered(0, 10))
    pipe.stop()
    admin = pipe.world.admin()
    partition = TopicPartition(pipe.topic, 0)
    admin.alter_group_offsets(f"connect-{pipe.name}", {partition: OffsetAndMetadata(2, "", -1)})
    admin.delete_records({partition: 6})
    admin.close()
    pipe.put(flush__size="2")
    pipe.world.call("PUT", f"{pipe.path}/resume")
    pipe.wait_committed(10)
    assert set(pipe.objects()) == {pipe.key(6), pipe.key(8)}


def test_while_s3_is_away_the_task_keeps_running_and_catches_up(pipe: Pipe) -> None:
    pipe.put(flush__size="100")
    pipe.send(numbered(0, 200))
    pipe.wait_committed(200)
    os.kill(pipe.world.localstack.pid, signal.SIGSTOP)
    try:
        pipe.send(numbered(200, 1000))
        time.sleep(3)
        assert pipe.states() == ["RUNNING"]
    finally:
        os.kill(pipe.world.localstack.pid, signal.SIGCONT)
    pipe.wait_committed(1000, seconds=60)
    assert_each_once(pipe, 1000)


@pytest.mark.long
def test_after_a_kill_of_kafka_the_sink_goes_on_by_itself(pipe: Pipe) -> None:
    pipe.put(flush__size="100")
    pipe.send(numbered(0, 200))
    pipe.wait_committed(200)
    pipe.world.kafka.kill()
    pipe.world.kafka.start()
    pipe.send(numbered(200, 400))
    pipe.wait_committed(400, seconds=60)
    assert_each_once(pipe, 400)
    assert pipe.states() == ["RUNNING"]


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts threads and descriptors in /proc")
def test_while_kafka_is_away_the_sink_holds_no_more_than_before(pipe: Pipe) -> None:
    def held() -> tuple[int, int]:
        process = Path(f"/proc/{pipe.world.sink.pid}")
        return len(list((process / "task").iterdir())), len(list((process / "fd").iterdir()))

    pipe.put(flush__size="1")
    pipe.send([b"{bad", *numbered(0, 2)])
    pipe.wait_committed(3)
    pipe.world.kafka.kill()
    try:
        pipe.world.call("POST", f"{pipe.path}/restart?includeTasks=true")
        time.sleep(20)  # now the task and the search for topics are in their first attempt, of 30 s
        threads, descriptors = held()
        time.sleep(93)
        threads_later, descriptors_later = held()
    finally:
        pipe.world.kafka.start()
    assert threads_later <= threads + 1
    assert descriptors_later <= descriptors + 8, "a leak is four an attempt, of six"
    pipe.send(numbered(2, 4))
    pipe.wait_committed(5, seconds=60)


@pytest.mark.long
def test_ten_thousand_records_a_second_reach_s3(pipe: Pipe) -> None:
    body = b'{"n":%d,"text":"' + b"x" * 400 + b'"}'
    records = 40_000
    pipe.send([body % number for number in range(records)])
    pipe.put(flush__size="2000")
    wait_for("the task", lambda: pipe.states() == ["RUNNING"])
    began = time.monotonic()
    pipe.wait_committed(records)
    assert records / (time.monotonic() - began) > 5_000, "half of the aim, for a machine that is busy with other tests"
