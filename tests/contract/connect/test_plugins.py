"""What a UI asks a Connect worker before it shows anything."""

from __future__ import annotations

from tests.contract.connect.world import World


def test_the_worker_is_healthy(world: World) -> None:
    answer = world.call("GET", "/health")
    assert answer.status_code == 200 and answer.json()["status"] == "healthy"


def test_the_plugins_options_are_listed(world: World) -> None:
    listed = world.call("GET", "/connector-plugins/S3SinkConnector/config").json()
    assert {"flush.size", "s3.bucket.name", "format.class"} <= {option["name"] for option in listed}
