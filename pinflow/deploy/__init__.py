"""`make deploy`: puts our notebooks, DAGs, Variables and connector in place, after showing what would change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from foundation.profile import Profile
from foundation.service import Say
from pinflow.deploy import connector
from pinflow.deploy.dags import Dags, Variables
from pinflow.deploy.difference import Difference
from pinflow.deploy.notebooks import Notebooks


class Part(Protocol):
    """One part of a deployment. Both methods raise PinflowError."""

    def differences(self) -> list[Difference]:
        """What is missing there or different; reads only."""

    def apply(self, say: Say) -> None:
        """Deploy it; called only if there are differences."""


# In this order, so that everything a DAG refers to exists before the DAG.
PARTS: dict[str, Callable[[Profile], Part]] = {
    "notebooks": Notebooks,
    "variables": Variables,
    "dags": Dags,
    "connector": connector.find,
}


def deploy(
    profile: Profile, wanted: Sequence[str], agreed: Callable[[list[Difference]], bool], say: Say
) -> list[Difference]:
    """Deploy these parts if ``agreed`` accepts the differences; returns the differences.

    Without differences it neither asks nor writes. Raises PinflowError before writing anything if a DAG cannot be
    imported or a server does not answer.
    """
    parts = {name: PARTS[name](profile) for name in PARTS if name in wanted}
    found = {name: part.differences() for name, part in parts.items()}
    together = [difference for differences in found.values() for difference in differences]
    if together and agreed(together):
        for name, part in parts.items():
            if found[name]:
                part.apply(say)
    return together
