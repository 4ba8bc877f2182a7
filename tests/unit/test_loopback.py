"""A proxy of the environment is for other machines."""

from __future__ import annotations

import os

import pytest
from botocore.utils import get_environ_proxies as of_boto3
from requests.utils import get_environ_proxies as of_requests

from foundation.loopback import bypass_proxies


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


def test_a_proxy_that_is_switched_off_stays_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "*")
    bypass_proxies()
    assert not of_requests("https://s3.example/") and not of_requests("https://127.0.0.1/")


def test_what_the_two_variables_say_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "one.example")
    monkeypatch.setenv("NO_PROXY", "two.example")
    bypass_proxies()
    assert os.environ["no_proxy"].split(",")[0] == "one.example"
    assert os.environ["NO_PROXY"].split(",")[0] == "two.example"


def test_without_a_proxy_nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    bypass_proxies()
    assert not {"no_proxy", "NO_PROXY"} & set(os.environ)
