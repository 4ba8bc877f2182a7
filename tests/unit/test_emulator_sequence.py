"""The well-known script's draws, and the schedule that a plan makes of them."""

from __future__ import annotations

import random
from itertools import islice, pairwise

import pytest

from emulator.posting import Plan
from emulator.sequence import SCRIPT_LAST_POSITION, script, sequential

FIRST_ROWS = [7528, 2863, 5730, 8304, 8731, 1313, 4315, 10794, 5494, 5069]
ROWS = 11_154


def positions(plan: Plan, available: int = ROWS, draws: int | None = None) -> list[int]:
    return [draw.position for _, draw in islice(plan.schedule(available), draws)]


def test_the_first_rows_are_those_of_the_well_known_script() -> None:
    assert [draw.position for draw in islice(script(100, SCRIPT_LAST_POSITION), 10)] == FIRST_ROWS


def test_500_posts_are_494_different_ones() -> None:
    assert len(positions(Plan())) == 500
    assert len(set(positions(Plan()))) == 494


def test_draws_and_pauses_are_the_script_s_own_calls() -> None:
    random.seed(7)
    expected = [(random.randrange(0, 2), random.randint(0, 11_000)) for _ in range(2_000)]
    assert [(draw.pause, draw.position) for draw in islice(script(7, SCRIPT_LAST_POSITION), 2_000)] == expected


@pytest.mark.parametrize("rate", ["script", "max", 50.0])
def test_the_rows_are_the_same_at_any_pace(rate: float) -> None:
    assert positions(Plan(rate=rate), draws=10) == FIRST_ROWS


def test_start_goes_on_where_an_earlier_run_ended() -> None:
    whole = positions(Plan(count=40))
    assert positions(Plan(count=15)) + positions(Plan(count=25, start=15)) == whole


def test_another_seed_gives_other_rows() -> None:
    assert positions(Plan(seed=101), draws=10) != FIRST_ROWS


def test_count_zero_does_not_end() -> None:
    assert len(positions(Plan(count=0), draws=5_000)) == 5_000


def test_the_script_never_draws_beyond_its_own_range() -> None:
    assert max(positions(Plan(count=0), draws=50_000)) == 11_000


def test_a_smaller_database_is_drawn_from_as_a_whole() -> None:
    assert set(positions(Plan(count=0), available=7, draws=500)) == set(range(7))


def test_a_row_range_is_drawn_from_as_a_whole() -> None:
    plan = Plan(count=0, rows=(11_100, 11_153))
    assert set(positions(plan, available=54, draws=2_000)) == set(range(54))


def test_sequential_order_has_each_row_once() -> None:
    assert positions(Plan(count=0, order="sequential")) == list(range(ROWS))
    assert positions(Plan(count=3, order="sequential", start=11_152)) == [11_152, 11_153]


def test_sequential_order_draws_the_script_s_kind_of_pauses() -> None:
    assert {draw.pause for draw in sequential(100, 100)} == {0, 1}


def test_posts_at_a_rate_are_due_at_even_times() -> None:
    due = [moment for moment, _ in Plan(count=1_000, rate=40.0).schedule(ROWS)]
    assert due[0] == 0.0
    assert due[-1] == pytest.approx(999 / 40)
    assert all(later - sooner == pytest.approx(1 / 40) for sooner, later in pairwise(due))


def test_posts_at_the_script_s_pace_are_due_after_its_drawn_sleeps() -> None:
    random.seed(100)
    sleeps = []
    for _ in range(20):
        sleeps.append(random.randrange(0, 2))
        random.randint(0, 11_000)
    due = [moment for moment, _ in Plan(count=20, rate="script").schedule(ROWS)]
    assert due == [sum(sleeps[: number + 1]) for number in range(20)]


def test_the_script_s_pace_goes_on_at_start_without_the_sleeps_before_it() -> None:
    moment, draw = next(Plan(count=1, rate="script", start=300).schedule(ROWS))
    assert moment == draw.pause


def test_at_full_speed_everything_is_due_at_once() -> None:
    assert {moment for moment, _ in Plan(count=100).schedule(ROWS)} == {0.0}
