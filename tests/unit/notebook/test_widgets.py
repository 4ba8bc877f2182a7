"""dbutils.widgets."""

from __future__ import annotations

import pytest

from services.databricks.notebook.java_errors import InputWidgetNotDefined, JavaError
from services.databricks.notebook.widgets import Widgets, fill_in, give


def test_a_given_value_goes_before_the_default_and_a_widget_keeps_its_first_value() -> None:
    widgets = Widgets({"given": "g"})
    widgets.text("given", "default")
    widgets.text("own", "first")
    widgets.text("own", "second")
    assert (widgets.get("given"), widgets.get("own")) == ("g", "first")


def test_a_widget_that_is_not_there() -> None:
    widgets = Widgets({})
    for call in (widgets.get, widgets.remove):
        with pytest.raises(InputWidgetNotDefined, match="No input widget named x is defined"):
            call("x")
    assert widgets.getArgument("x", "default") == "default"


def test_a_default_must_be_a_choice() -> None:
    with pytest.raises(JavaError, match="must be one of its choices"):
        Widgets({}).dropdown("d", "z", ["x", "y"])
    with pytest.raises(JavaError, match="Default value z"):
        Widgets({}).multiselect("m", "x,z", ["x", "y"])


def test_old_markers_in_sql() -> None:
    widgets = Widgets({"a": "1", "ab": "\\2"})
    assert fill_in(widgets, "select $a, ${a}, $ab, $abc, '$a'") == "select 1, 1, \\2, $abc, '1'"


def test_what_run_gives_goes_before_a_default() -> None:
    widgets = Widgets({})
    widgets.text("a", "default")
    give(widgets, {"a": "given"})
    assert widgets.getAll() == {"a": "given"}
