"""A LocalStack of the tests' own, with a REST proxy and a Connect that only take notes."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Self

from foundation.profile import ROOT, Profile
from services.localstack.native import SERVICE
from tests.servers.service import Running, write_profile

UID = "0123456789ab"


class LocalStack(Running):
    """It is ready once everything is deployed; nothing is initialised in it."""

    def __init__(self, profile: Profile) -> None:
        super().__init__("localstack", profile)

    @classmethod
    def create(cls, directory: Path, rest_proxy: str, connect: str, **changes: object) -> Self:
        """One with a profile in ``directory``, between these two URLs; ``changes`` as in `write_profile`."""
        profile = write_profile(
            directory, "localstack",
            rest_proxy__url=rest_proxy, connect__url=connect, connect__connector="sink",
            storage__dag_bucket="dags-of-test",
            aws__access_key_id="${PINFLOW_TEST_KEY:-test}", aws__secret_access_key="${PINFLOW_TEST_KEY:-test}",
            uid=UID, **changes,
        )  # fmt: skip
        return cls(profile)

    def is_ready(self) -> bool:
        SERVICE.probe(self.profile)
        return True

    def launch(self, output: int | IO[bytes] | None = None, directory: Path | None = ROOT) -> None:
        SERVICE.prepare(self.profile)
        super().launch(output, directory)

    def start(self, timeout: float = 180) -> float:
        self.launch()
        return self.wait_until_ready(timeout)
