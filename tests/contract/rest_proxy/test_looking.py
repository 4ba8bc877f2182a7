"""Where the stand-in listens; what its calls answer is in tests/recorded/rest_proxy/looking.yaml and http.yaml."""

from __future__ import annotations

import psutil

from services.rest_proxy import native
from tests.servers.service import Running


def test_it_listens_on_127_0_0_1_and_nowhere_else(proxy: Running) -> None:
    sockets = psutil.Process(proxy.pid).net_connections(kind="inet")
    listening = {tuple(found.laddr) for found in sockets if found.status == psutil.CONN_LISTEN}
    assert listening == {("127.0.0.1", port) for port in native.ports(proxy.profile)}
