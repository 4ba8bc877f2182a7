"""Records and settings that cannot work, as far as the stand-in has its own way; see tests/recorded/connect."""

from __future__ import annotations

from kafka.admin import ConfigResource, ConfigResourceType

from tests.contract.connect.world import Pipe, World, numbered
from tests.servers.waiting import wait_for


def test_what_follows_the_first_document_of_a_value_is_not_dropped(pipe: Pipe) -> None:
    """The real sink takes the first one and drops the rest silently."""
    pipe.put(flush__size="1")
    pipe.send([b'{"n":0} rest', *numbered(1, 2)])
    pipe.wait_committed(2)
    assert pipe.objects() == {pipe.key(1): b'{"n":1}\n'}
    (letter,) = pipe.dead_letters(1)
    assert letter.value == b'{"n":0} rest'


def test_a_dead_letter_says_where_it_came_from_and_why(pipe: Pipe) -> None:
    pipe.put()
    pipe.send([*numbered(0, 1), b"{bad"])
    (letter,) = pipe.dead_letters(1)
    headers = {name.removeprefix("__connect.errors."): text.decode() for name, text in letter.headers}
    message = headers.pop("exception.message")
    assert message.startswith("Converting byte[] to Kafka Connect data failed due to serialization error: ")
    stack = headers.pop("exception.stacktrace")
    assert message in stack
    assert "Caused by: org.apache.kafka.common.errors.SerializationException: Expecting property name" in stack
    assert headers == {
        "topic": pipe.topic,
        "partition": "0",
        "offset": "1",
        "connector.name": pipe.name,
        "task.id": "0",
        "stage": "VALUE_CONVERTER",
        "class.name": "org.apache.kafka.connect.json.JsonConverter",
        "exception.class.name": "org.apache.kafka.connect.errors.DataException",
    }


def test_a_bad_record_as_large_as_kafka_takes_fits_the_dead_letter_topic(pipe: Pipe) -> None:
    value = b"{" + b"x" * 1_000_000
    pipe.put()
    pipe.send([value])
    (letter,) = pipe.dead_letters(1)
    assert letter.value == value


def test_no_object_covers_dead_letters_that_cannot_be_written(pipe: Pipe) -> None:
    """What an object covers is never read again, so they would be lost."""
    admin = pipe.world.admin()
    topic = {"num_partitions": 1, "replication_factor": 1, "configs": {"max.message.bytes": "1"}}
    admin.create_topics({pipe.dead: topic}, wait_for_metadata=True)
    pipe.put(flush__size="2")
    pipe.send([b'{"n":0}', b"{bad 1", b'{"n":2}', b"{bad 3"])
    assert "cannot write to the dead-letter topic: MessageSizeTooLargeError" in pipe.failure()
    assert pipe.objects() == {}

    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, pipe.dead, {"max.message.bytes": "1000000"})])
    admin.close()
    assert pipe.world.call("POST", f"{pipe.path}/tasks/0/restart").status_code == 204
    pipe.wait_committed(3)
    assert [letter.value for letter in pipe.dead_letters(2)] == [b"{bad 1", b"{bad 3"]
    assert pipe.objects() == {pipe.key(0): b'{"n":0}\n{"n":2}\n'}


def test_a_bad_record_fails_the_task_where_errors_are_not_tolerated(pipe: Pipe) -> None:
    pipe.put(errors__tolerance="none")
    pipe.send([b"{bad"])
    assert "Tolerance exceeded in error handler" in pipe.failure()
    assert f"topic {pipe.topic}, partition 0, offset 0" in pipe.failure()


def test_a_missing_bucket_is_accepted_and_fails_the_task(world: World) -> None:
    with Pipe(world, bucket=False) as pipe:
        assert pipe.put(flush__size="1").status_code == 201
        assert f"Non-existent S3 bucket: {pipe.bucket}" in pipe.failure()

        world.s3.create_bucket(Bucket=pipe.bucket)
        pipe.send(numbered(0, 1))
        answer = world.call("POST", f"{pipe.path}/restart?includeTasks=true&onlyFailed=true")
        assert (answer.status_code, answer.json()["tasks"][0]["state"]) == (202, "RESTARTING")
        pipe.wait_committed(1)
        assert pipe.states() == ["RUNNING"]


def test_a_bucket_that_vanishes_fails_the_task_and_everything_lands_again_after_a_reset(pipe: Pipe) -> None:
    pipe.put(flush__size="2")
    pipe.send(numbered(0, 4))
    pipe.wait_committed(4)
    for key in pipe.objects():
        pipe.world.s3.delete_object(Bucket=pipe.bucket, Key=key)
    pipe.world.s3.delete_bucket(Bucket=pipe.bucket)
    pipe.send(numbered(4, 6))
    failure = pipe.failure()
    assert "Exiting WorkerSinkTask due to unrecoverable exception." in failure.splitlines()[0]
    assert "NoSuchBucket" in failure

    pipe.world.s3.create_bucket(Bucket=pipe.bucket)
    pipe.reset()
    pipe.wait_committed(6)
    assert set(pipe.lines().values()) == {1}
    assert len(pipe.lines()) == 6
    wait_for("the task", lambda: pipe.states() == ["RUNNING"])
