"""Where the records of a partition are, beside a reckoning offset by offset."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pinflow.account.offsets import below, fate


@given(
    begin=st.integers(0, 5),
    fates=st.lists(st.sampled_from(["in S3", "in S3", "skipped", "missing"]), max_size=40),
    cuts=st.lists(st.booleans(), min_size=40, max_size=40),
    committed=st.integers(0, 50),
)
def test_every_offset_is_where_a_reader_of_each_record_says(
    begin: int, fates: list[str], cuts: list[bool], committed: int
) -> None:
    objects: list[list[int]] = []
    fresh = True
    for offset, (what, cut) in enumerate(zip(fates, cuts, strict=False)):
        if what == "in S3":
            if fresh or cut:
                objects.append([offset, 0])
            objects[-1][1] += 1
        fresh = what == "missing" or (fresh and what == "skipped")
    skipped = [offset for offset, what in enumerate(fates) if what == "skipped"]
    end = max(len(fates), begin)
    found = fate(begin, end, [(start, lines) for start, lines in objects], skipped)
    expected = {what: [o for o in range(begin, len(fates)) if fates[o] == what] for what in fates}
    assert found.in_s3 == len(expected.get("in S3", []))
    assert found.skipped == len(expected.get("skipped", []))
    assert found.twice == 0
    nowhere = expected.get("missing", []) + list(range(max(len(fates), begin), end))
    assert [offset for start, stop in found.missing for offset in range(start, stop)] == nowhere
    assert below(found.missing, committed) == sum(offset < committed for offset in nowhere)


def test_records_in_two_objects_are_counted_once() -> None:
    """As the real sink leaves them after a kill: the object that was not committed, and one cut elsewhere."""
    found = fate(0, 11, [(0, 8), (5, 6)], [4])
    assert (found.in_s3, found.twice, found.missing) == (10, 4, [])
