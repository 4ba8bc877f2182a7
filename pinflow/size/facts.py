"""facts.toml: the quotas, prices and measurements of the model, each with its source and date.

>>> FACTS.quota["shard_records"].value
1000
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from foundation.errors import PinflowError

FILE = Path(__file__).with_name("facts.toml")


@dataclass(frozen=True)
class Fact:
    """A number with its source; the head of facts.toml says what the fields mean."""

    value: float
    unit: str
    source: str
    date: date
    note: str = ""
    confirmed: bool = True
    quote: str = ""


@dataclass(frozen=True)
class Broker:
    """A size of MSK's Express brokers: the most that one takes and gives, in MB/s."""

    name: str
    ingress: float
    egress: float


@dataclass(frozen=True)
class Facts:
    """All of facts.toml, by section and name; the brokers from the smallest."""

    quota: Mapping[str, Fact]
    measured: Mapping[str, Fact]
    present: Mapping[str, Fact]
    price: Mapping[str, Fact]
    brokers: tuple[Broker, ...]
    brokers_source: str

    def with_prices(self, given: Mapping[str, float]) -> Facts:
        """The same with other prices; raises PinflowError for a name that is none."""
        if unknown := [name for name in given if name not in self.price]:
            raise PinflowError(f"size: no price {unknown[0]}", f"prices are {', '.join(self.price)}")
        yours = {
            name: replace(self.price[name], value=value, source="given on the command line", note="", confirmed=True)
            for name, value in given.items()
        }
        return replace(self, price={**self.price, **yours})


def read(file: Path = FILE) -> Facts:
    """The facts in a file."""
    document = tomllib.loads(file.read_text(encoding="utf-8"))

    def section(name: str) -> dict[str, Fact]:
        found: dict[str, dict[str, Any]] = document[name]
        return {key: Fact(**fields) for key, fields in found.items()}

    brokers = document["brokers"]
    return Facts(
        section("quota"),
        section("measured"),
        section("present"),
        section("price"),
        tuple(Broker(**size) for size in brokers["sizes"]),
        brokers["source"],
    )


FACTS = read()
