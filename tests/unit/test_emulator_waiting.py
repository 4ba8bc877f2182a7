"""Waits between tries, and the totals of a run."""

from __future__ import annotations

import random

from emulator.totals import Totals
from foundation.backoff import FIRST_DELAY, LONGEST_DELAY, Backoff


def waits(budget: float, number: int, at_least: float = 0.0) -> list[float]:
    slept: list[float] = []
    backoff = Backoff(budget, slept.append)
    for _ in range(number):
        backoff.wait(at_least)
    return slept


def test_waits_double_up_to_a_limit_with_jitter_below_it() -> None:
    bounds = [min(FIRST_DELAY * 2**n, LONGEST_DELAY) for n in range(12)]
    assert all(bound / 2 <= wait <= bound for wait, bound in zip(waits(1000, 12), bounds, strict=True))
    assert len({waits(1000, 1)[0] for _ in range(20)}) > 1


def test_a_spent_budget_means_give_up_without_a_wait() -> None:
    slept: list[float] = []
    assert Backoff(0, slept.append).wait() is False
    assert slept == []


def test_a_wait_is_never_longer_than_what_is_left() -> None:
    assert waits(0.05, 1)[0] <= 0.05
    assert waits(3, 1, at_least=60)[0] <= 3


def test_the_server_s_own_wish_is_the_least_wait() -> None:
    assert waits(100, 1, at_least=7) == [7]


def test_jitter_takes_nothing_from_anyone_s_seeded_sequence() -> None:
    random.seed(100)
    expected = random.random()
    random.seed(100)
    waits(10, 5)
    assert random.random() == expected


def test_percentiles_are_nearest_rank_in_milliseconds() -> None:
    totals = Totals()
    for latency in range(1, 101):
        totals.delivered(1, 10, latency / 1000)
    summary = totals.summary(None, False, 0)
    assert (summary.latency_p50_ms, summary.latency_p95_ms) == (50.0, 95.0)
    assert (summary.records, summary.bytes) == (100, 1000)


def test_the_totals_of_nothing_can_be_printed() -> None:
    summary = Totals().summary(None, True, 40)
    assert summary.latency_p50_ms is None
    assert "0 posts" in str(summary)
    assert "--start 40" in str(summary)
