"""A proxy of the environment is for other machines."""

from __future__ import annotations

import pytest
from botocore.utils import get_environ_proxies as of_boto3
from requests.utils import get_environ_proxies as of_requests

from pinflow.loopback import bypass_proxies


@pytest.mark.parametrize("given", ["", "intern.example", "127.0.0.1,intern.example"])
@pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
def test_this_machine_is_reached_directly(monkeypatch: pytest.MonkeyPatch, name: str, given: str) -> None:
    for variable in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    if given:
        monkeypatch.setenv(name, given)
    bypass_proxies()
    for proxies in (of_boto3, of_requests):
        assert not proxies("http://127.0.0.1:4566/x") and not proxies("http://localhost:8082")
        assert proxies("http://api.example/")["http"] == "http://proxy.example:3128"
    if given:
        assert not of_requests("http://intern.example/")
