"""`make deploy`: what of ours runs elsewhere is put there, after what would change was shown and agreed to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from foundation.profile import Profile
from pinflow.deploy.connector import Connector
from pinflow.deploy.dags import Dags, Variables
from pinflow.deploy.difference import Difference
from pinflow.deploy.notebooks import Notebooks

Say = Callable[[str], None]


class Part(Protocol):
    """One thing that is deployed. Both methods raise PinflowError."""

    def __init__(self, profile: Profile) -> None: ...

    def differences(self) -> list[Difference]:
        """What of it is not there, or otherwise; reads only."""

    def apply(self, say: Say) -> None:
        """Make it so; called where there are differences."""


# In this order: what a DAG names is there before the DAG.
PARTS: dict[str, type[Part]] = {
    "notebooks": Notebooks,
    "variables": Variables,
    "dags": Dags,
    "connector": Connector,
}


def deploy(
    profile: Profile, wanted: Sequence[str], agreed: Callable[[list[Difference]], bool], say: Say
) -> list[Difference]:
    """Deploy the parts of these names, when ``agreed`` says so to what differs; returns what differed.

    Repeatable: where nothing differs, nobody is asked and nothing is written. Raises PinflowError before anything is
    written when a DAG cannot be imported, or a far end does not answer.
    """
    parts = {name: PARTS[name](profile) for name in PARTS if name in wanted}
    found = {name: part.differences() for name, part in parts.items()}
    together = [difference for differences in found.values() for difference in differences]
    if together and agreed(together):
        for name, part in parts.items():
            if found[name]:
                part.apply(say)
    return together
