"""Content negotiation of the REST proxy's stand-in, as far as tests/recorded/rest_proxy has no case for it."""

from __future__ import annotations

import time

import pytest

from services.rest_proxy.errors import Unreadable
from services.rest_proxy.media import JSON, ONLY_V2, V2, content_type, negotiate


@pytest.mark.parametrize("rest", ['"', ';a="', ";", ";a", '/b"', ';a=b"'])
def test_a_header_of_blanks_is_refused_at_once(rest: str) -> None:
    """One request at a time has the event loop, so a slow match would keep all the others waiting."""
    began = time.process_time()
    for blanks in (" " * 20_000, "\t ;" * 7_000):
        with pytest.raises(Unreadable):
            negotiate(f"a{blanks}{rest}\x01", ONLY_V2)
    assert time.process_time() - began < 1


@pytest.mark.parametrize("blank", ["", " ", "\t  "])
def test_blanks_around_the_parts_of_a_type_are_dropped(blank: str) -> None:
    main, sub = JSON.split("/")
    header = blank.join(["", main, "/", sub, ";", "charset", "=", '"utf-8"', ";", ""])
    assert content_type(header, (JSON,)) == JSON
    assert negotiate(f"text/html{blank},{blank}{V2}{blank};{blank}q{blank}={blank}0.5{blank};", ONLY_V2) == V2


def test_a_quoted_parameter_may_hold_a_semicolon() -> None:
    assert negotiate(f'{V2};a="b;c"', ONLY_V2) == f'{V2};a="b;c"'
