"""DBFS handles of clients that went away."""

from __future__ import annotations

import pytest

from services.databricks.workspace.errors import ApiError
from services.databricks.workspace.uploads import IDLE, LIMIT, Uploads


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def uploads(clock: Clock) -> Uploads:
    return Uploads(clock=clock)


def test_an_abandoned_handle_no_longer_counts_against_the_limit(uploads: Uploads, clock: Clock) -> None:
    uploads.add(1, "/left", False)
    uploads.append(1, bytes(LIMIT))
    uploads.add(2, "/next", False)
    with pytest.raises(ApiError, match="Open uploads would hold more"):
        uploads.append(2, b"x")
    clock.now += IDLE / 2
    uploads.append(2, b"")
    clock.now += IDLE / 2
    uploads.append(2, b"x")
    assert uploads.close(2).data == b"x"


def test_a_handle_that_was_idle_is_closed(uploads: Uploads, clock: Clock) -> None:
    uploads.add(1, "/left", False)
    clock.now += IDLE
    for use in (lambda: uploads.append(1, b"x"), lambda: uploads.close(1)):
        with pytest.raises(ApiError, match="No stream handle 1 is open") as caught:
            use()
        assert (caught.value.status, caught.value.error_code) == (404, "RESOURCE_DOES_NOT_EXIST")


def test_a_handle_in_use_stays_open(uploads: Uploads, clock: Clock) -> None:
    uploads.add(1, "/slow", False)
    for block in (b"a", b"b", b"c"):
        clock.now += IDLE - 1
        uploads.append(1, block)
    assert uploads.close(1).data == b"abc"
