"""The broker without Docker: the official image's settings, loopback only, data that stays."""

from __future__ import annotations

import json
from pathlib import Path

import psutil
import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic
from kafka.errors import KafkaTimeoutError

from foundation import environment
from foundation.errors import NotReady, ProfileError
from foundation.profile import Profile
from services.kafka import native
from tests.servers.service import Running, write_profile

ADDRESSES_AND_PATHS = {
    "listeners",
    "advertised.listeners",
    "controller.quorum.voters",
    "log.dirs",
}


def rendered(profile: Profile) -> dict[str, str]:
    text = (profile.home / "kafka" / "config" / "server.properties").read_text(encoding="utf-8")
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def produce(profile: Profile, topic: str, *values: bytes) -> list[int]:
    producer = KafkaProducer(bootstrap_servers=profile.kafka.bootstrap_servers)
    try:
        return [producer.send(topic, value).get(timeout=20).offset for value in values]
    finally:
        producer.close()


def consume(profile: Profile, topic: str) -> list[bytes]:
    consumer = KafkaConsumer(
        bootstrap_servers=profile.kafka.bootstrap_servers, auto_offset_reset="earliest", consumer_timeout_ms=2000
    )
    try:
        consumer.assign([TopicPartition(topic, 0)])
        return [record.value for record in consumer]
    finally:
        consumer.close()


def test_the_images_own_program_renders_every_setting_of_the_env_file(kafka: Running) -> None:
    expected = environment.properties(environment.read("kafka"), "KAFKA_")
    found = rendered(kafka.profile)
    assert found.keys() == expected.keys()
    assert {key: found[key] for key in expected.keys() - ADDRESSES_AND_PATHS} == {
        key: expected[key] for key in expected.keys() - ADDRESSES_AND_PATHS
    }


def test_broker_and_controller_listen_on_127_0_0_1_and_nowhere_else(kafka: Running) -> None:
    sockets = psutil.Process(kafka.pid).net_connections(kind="inet")
    listening = {tuple(found.laddr) for found in sockets if found.status == psutil.CONN_LISTEN}
    assert listening == {("127.0.0.1", port) for port in native.ports(kafka.profile)}


def test_the_three_topics_exist_and_making_them_again_is_harmless(kafka: Running) -> None:
    messages: list[str] = []
    native.initialise(kafka.profile, messages.append)
    assert messages == []
    with KafkaAdminClient(bootstrap_servers=kafka.profile.kafka.bootstrap_servers) as admin:
        topics = {topic["name"]: len(topic["partitions"]) for topic in admin.describe_topics()}
    assert {topics.get(name) for name in kafka.profile.topics} == {kafka.profile.kafka.partitions}


def test_a_mistyped_topic_is_an_error_and_not_a_new_topic(kafka: Running) -> None:
    producer = KafkaProducer(bootstrap_servers=kafka.profile.kafka.bootstrap_servers, max_block_ms=1000)
    with pytest.raises(KafkaTimeoutError):
        producer.send("0a1b2c3d4e5f.pni", b"{}")
    producer.close()


def test_records_of_one_megabyte_pass_and_larger_ones_do_not(kafka: Running) -> None:
    with KafkaAdminClient(bootstrap_servers=kafka.profile.kafka.bootstrap_servers) as admin:
        admin.create_topics([NewTopic("sizes")])
    assert produce(kafka.profile, "sizes", b"x" * 1_000_000) == [0]
    producer = KafkaProducer(bootstrap_servers=kafka.profile.kafka.bootstrap_servers, max_request_size=20_000_000)
    future = producer.send("sizes", b"x" * 10_000_000)
    with pytest.raises(Exception, match="MessageSizeTooLarge"):
        future.get(timeout=20)
    producer.close()


def test_records_outlive_a_stop_and_a_sigkill(kafka: Running) -> None:
    topic = kafka.profile.topics[0]
    produce(kafka.profile, topic, b'{"index": 1}')
    kafka.stop()
    usual = kafka.start()
    produce(kafka.profile, topic, b'{"index": 2}')
    kafka.kill()
    seconds = kafka.start()
    assert consume(kafka.profile, topic) == [b'{"index": 1}', b'{"index": 2}']
    # 5 to 6 s on an idle machine, where a usual start takes 4; 12 s and more without the shorter session of kafka.env.
    assert seconds < 2 * usual + 2


def test_probe_says_what_it_saw_while_nothing_runs(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match="Connection refused"):
        native.probe(write_profile(tmp_path, "kafka"))


def test_preparing_again_changes_nothing_and_an_interrupted_preparation_is_done_again(tmp_path: Path) -> None:
    profile = write_profile(tmp_path, "kafka")
    native.prepare(profile)
    marker = profile.home / "kafka" / "data" / "meta.properties"
    first = marker.read_bytes()
    native.prepare(profile)
    assert marker.read_bytes() == first
    marker.unlink()
    native.prepare(profile)
    assert marker.is_file()


def test_a_changed_setting_is_rendered_at_the_next_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    profile = write_profile(tmp_path, "kafka")
    native.prepare(profile)
    changed = {**native.variables(profile), "KAFKA_NUM_PARTITIONS": "7"}
    monkeypatch.setattr(native, "variables", lambda _: changed)
    native.prepare(profile)
    assert rendered(profile)["num.partitions"] == "7"
    assert json.loads((profile.home / "kafka" / "rendered-from.json").read_text()) == changed


def test_a_cluster_that_is_not_on_this_machine_cannot_be_started_here(kafka: Running) -> None:
    elsewhere = kafka.profile.kafka.model_copy(update={"bootstrap_servers": "b-1.msk.amazonaws.com:9098"})
    with pytest.raises(ProfileError, match=r"kafka\.bootstrap_servers"):
        native.ports(kafka.profile.model_copy(update={"kafka": elsewhere}))


def test_the_service_names_the_controllers_port_too(kafka: Running) -> None:
    broker = int(kafka.profile.kafka.bootstrap_servers.rpartition(":")[2])
    assert native.SERVICE.ports(kafka.profile) == [broker, broker + 1]
