"""dbutils.widgets: parameters of a notebook.

https://docs.databricks.com/notebooks/widgets.html
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from .java_errors import InputWidgetNotDefined, JavaError


class Widgets:
    """Values by name. Those from a job, dbutils.notebook.run or `%run` take precedence over a widget's default."""

    def __init__(self, parameters: dict[str, str]) -> None:
        self._given = dict(parameters)
        self._values: dict[str, str] = {}

    def text(self, name: str, defaultValue: str = "", label: str | None = None) -> None:
        """Creates a text input widget with a given name and default value"""
        self._define(name, defaultValue)

    def dropdown(self, name: str, defaultValue: str, choices: Sequence[str], label: str | None = None) -> None:
        """Creates a dropdown input widget with a given name, default value and choices"""
        self._choose("dropdown", name, defaultValue, choices)

    def combobox(self, name: str, defaultValue: str, choices: Sequence[str], label: str | None = None) -> None:
        """Creates a combobox input widget with a given name, default value and choices"""
        self._define(name, defaultValue)

    def multiselect(self, name: str, defaultValue: str, choices: Sequence[str], label: str | None = None) -> None:
        """Creates a multiselect input widget with a given name, default value and choices"""
        self._choose("multiselect", name, defaultValue, choices)

    def get(self, name: str) -> str:
        """Retrieves current value of an input widget"""
        values = self.getAll()
        if name not in values:
            raise InputWidgetNotDefined("getArgument", name)
        return values[name]

    def getArgument(self, name: str, defaultValue: str | None = None) -> str:
        """Retrieves current value of an input widget, or the default if there is none"""
        if defaultValue is not None and name not in self.getAll():
            return defaultValue
        return self.get(name)

    def getAll(self) -> dict[str, str]:
        """Gets all the widgets: a name and its value"""
        return {**self._values, **self._given}

    def remove(self, name: str) -> None:
        """Removes an input widget from the notebook"""
        if name not in self.getAll():
            raise InputWidgetNotDefined("removeArgument", name)
        self._values.pop(name, None)
        self._given.pop(name, None)

    def removeAll(self) -> None:
        """Removes all widgets in the notebook"""
        self._values.clear()

    def _define(self, name: str, value: str) -> None:
        self._values.setdefault(str(name), str(value))

    def _choose(self, kind: str, name: str, value: str, choices: Sequence[str]) -> None:
        known = [str(choice) for choice in choices]
        chosen = [str(value)] if kind == "dropdown" else [each for each in str(value).split(",") if each]
        if wrong := [each for each in chosen if each not in known]:
            raise JavaError(
                kind,
                "java.lang.IllegalArgumentException",
                f"requirement failed: Default value {wrong[0]} of {kind} widget {name} must be one of its choices: "
                + ", ".join(known),
            )
        self._define(name, value)


# Functions, so that `dbutils.widgets` has no names that it does not have on Databricks.


def give(widgets: Widgets, parameters: dict[str, str]) -> None:
    """Values from `%run ./notebook $name="value"`."""
    widgets._given.update(parameters)


def fill_in(widgets: Widgets, statement: str) -> str:
    """A SQL statement with its $name and ${name} replaced: the syntax before :name."""
    for name, value in sorted(widgets.getAll().items(), key=lambda item: -len(item[0])):
        pattern = rf"\$\{{{re.escape(name)}\}}|\${re.escape(name)}\b"
        statement = re.sub(pattern, value.replace("\\", r"\\"), statement)
    return statement
