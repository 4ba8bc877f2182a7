"""boto3 clients: `make up` makes one at each poll of Airflow, so that a second one has to be cheap."""

from __future__ import annotations

import pytest
from botocore.loaders import JSONFileLoader

from foundation.aws import client
from foundation.profile import load


def test_a_second_client_of_a_service_reads_no_model_again(monkeypatch: pytest.MonkeyPatch) -> None:
    profile, read, load_file = load("local"), list[str](), JSONFileLoader.load_file

    def noted(self: JSONFileLoader, file_path: str) -> object:
        read.append(file_path)
        return load_file(self, file_path)

    client(profile, "mwaa")
    monkeypatch.setattr(JSONFileLoader, "load_file", noted)
    client(profile, "mwaa")
    assert read == []


def test_clients_share_no_connections_and_no_credentials() -> None:
    profile = load("local")
    first, second = (client(profile, "kinesis") for _ in range(2))
    assert first._endpoint is not second._endpoint  # type: ignore[attr-defined]
    assert first._request_signer._credentials is not second._request_signer._credentials  # type: ignore[attr-defined]
