"""How many kills, which, and in how long."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("kills drawn by lot")
    group.addoption("--kills", type=int, help="how many (6); with it only the kills drawn by lot run")
    group.addoption("--seed", type=int, default=7, help="of the lot (7): the same one draws the same kills")
    group.addoption("--minutes", type=float, help="in how long, without the waiting (half a minute a kill)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--kills") is None:
        return
    others = [item for item in items if "faults" in item.path.parts and item.path.name != "test_kills_by_lot.py"]
    config.hook.pytest_deselected(items=others)
    items[:] = [item for item in items if item not in others]
