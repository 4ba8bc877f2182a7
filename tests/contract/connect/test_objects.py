"""What of the objects is only ours: bytes of a line, speed, who reads what; the rest is in tests/recorded/connect."""

from __future__ import annotations

import json
import time
from functools import partial

from tests.contract.connect.world import Pipe, numbered
from tests.servers.waiting import wait_for


def test_a_posted_record_is_in_s3_within_three_seconds(pipe: Pipe) -> None:
    pipe.put(rotate__schedule__interval__ms="2000")
    wait_for("the task", lambda: pipe.states() == ["RUNNING"])
    lags = []
    for record in numbered(0, 3):
        began = time.monotonic()
        pipe.send([record])
        wait_for("the record", partial(pipe.has, record))
        lags.append(time.monotonic() - began)
    assert max(lags) < 3


def test_flush_size_one_writes_an_object_a_record(pipe: Pipe) -> None:
    pipe.put(flush__size="1")
    pipe.send(numbered(0, 300))
    pipe.wait_committed(300)
    assert pipe.objects() == {pipe.key(n): b'{"n":%d}\n' % n for n in range(300)}


def test_a_new_topic_that_matches_the_regex_is_found(pipe: Pipe) -> None:
    pipe.put(flush__size="1")
    wait_for("the task", lambda: pipe.states() == ["RUNNING"])
    later = f"{pipe.uid}.geo"
    pipe.create_topic(later)
    pipe.send(numbered(0, 1), topic=later)
    pipe.wait_committed(1, topic=later)
    assert list(pipe.objects()) == [pipe.key(0, topic=later)]
    topics = pipe.world.call("GET", f"{pipe.path}/topics").json()[pipe.name]["topics"]
    assert topics == [later]


def test_a_new_topic_cuts_no_object_of_another_one(pipe: Pipe) -> None:
    """The group is rebalanced: the real sink drops what it has buffered and reads it again."""
    pipe.put(flush__size="2")
    pipe.send(numbered(0, 3))
    pipe.wait_committed(2)
    later = f"{pipe.uid}.geo"
    pipe.create_topic(later)
    pipe.send(numbered(0, 2), topic=later)
    pipe.wait_committed(2, topic=later)
    pipe.send(numbered(3, 4))
    wait_for("the fourth record", lambda: pipe.has(b'{"n":3}'))
    assert list(pipe.objects()) == [pipe.key(0, topic=later), pipe.key(0), pipe.key(2)]


def test_the_three_tasks_get_a_topic_each(pipe: Pipe) -> None:
    for kind in ("geo", "user"):
        pipe.create_topic(f"{pipe.uid}.{kind}")
    pipe.put(flush__size="1", tasks__max="3")
    for kind in ("pin", "geo", "user"):
        pipe.send(numbered(0, 1), topic=f"{pipe.uid}.{kind}")
        pipe.wait_committed(1, topic=f"{pipe.uid}.{kind}")
    assert pipe.states() == ["RUNNING"] * 3
    assert len(pipe.objects()) == 3


def test_values_stay_as_they_are(pipe: Pipe) -> None:
    values = [
        b'{"z":1,"a":123456789012345678901234567890,"f":1.10}',
        '{"title":"é 😀 \u2028 \\u00e9"}'.encode(),
        b'"text"',
        b"[1,2]",
    ]
    pipe.put(flush__size="4")
    pipe.send(values)
    pipe.wait_committed(4)
    assert pipe.objects()[pipe.key(0)] == b"\n".join(values) + b"\n"


def test_a_value_of_several_lines_becomes_one(pipe: Pipe) -> None:
    pipe.put(flush__size="1")
    pipe.send([b'{\n  "a": 1,\r\n  "b": 2\n}\n'])
    pipe.wait_committed(1)
    (body,) = pipe.objects().values()
    assert body.count(b"\n") == 1
    assert json.loads(body) == {"a": 1, "b": 2}


def test_what_is_buffered_is_written_on_a_graceful_stop(pipe: Pipe) -> None:
    pipe.put()
    pipe.send(numbered(0, 3))
    wait_for("the record to be read", lambda: pipe.world.call("GET", f"{pipe.path}/topics").json()[pipe.name]["topics"])
    pipe.stop()
    assert pipe.objects() == {pipe.key(0): b'{"n":0}\n{"n":1}\n{"n":2}\n'}
    assert pipe.committed() == 3
