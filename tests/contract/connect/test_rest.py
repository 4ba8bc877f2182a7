"""What of the Connect REST API is only ours; what the real worker answers stands in tests/recorded/connect."""

from __future__ import annotations

from functools import partial

from tests.contract.connect.world import Pipe, World
from tests.servers.waiting import wait_for


def test_the_root_says_that_it_is_a_stand_in(world: World) -> None:
    about = world.call("GET", "/").json()
    assert set(about) == {"version", "commit", "kafka_cluster_id"}
    assert "stand-in" in about["version"]


def test_a_client_that_does_not_wait_sees_the_old_state(pipe: Pipe) -> None:
    """On the real worker it is mostly so; here always, so that a script that does not wait fails here too."""
    status = f"{pipe.path}/status"
    pipe.put()
    assert pipe.world.call("GET", status).status_code == 404
    wait_for("the task", lambda: pipe.states() == ["RUNNING"])
    for call, state in (("pause", "PAUSED"), ("resume", "RUNNING"), ("stop", "STOPPED")):
        before = pipe.status()["connector"]["state"]
        pipe.world.call("PUT", f"{pipe.path}/{call}")
        assert is_shown(pipe, before)
        wait_for(state, partial(is_shown, pipe, state))
    pipe.world.call("DELETE", pipe.path)
    assert pipe.world.call("GET", status).status_code == 200
    wait_for("the status to go", lambda: pipe.world.call("GET", status).status_code == 404)


def is_shown(pipe: Pipe, state: str) -> bool:
    return bool(pipe.status()["connector"]["state"] == state)


def test_connectors_and_their_states_survive_a_kill(pipe: Pipe) -> None:
    pipe.put(flush__size="3")
    wait_for("the task", lambda: pipe.states() == ["RUNNING"])
    pipe.world.call("PUT", f"{pipe.path}/pause")
    pipe.world.sink.kill()
    pipe.world.sink.start()
    assert pipe.world.call("GET", f"{pipe.path}/config").json() == pipe.config(flush__size="3")
    assert is_shown(pipe, "PAUSED")
    wait_for("the task", lambda: pipe.states() == ["PAUSED"])


def test_a_refused_option_is_answered_with_the_implemented_ones(pipe: Pipe) -> None:
    answer = pipe.put(s3__acl__canned="private", s3__bukket__name="x")
    assert "Implemented: name, connector.class, tasks.max" in answer.json()["message"]
