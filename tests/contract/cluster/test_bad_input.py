"""A thousand bad calls of the cluster's control endpoint: each is carried out, or refused with a code and in words."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
import requests

from tests.contract.cluster.conftest import World
from tests.generated import CASES, changed, damaged, text, value

pytestmark = pytest.mark.long
_FILE = "dbfs:/tmp/bad/file"
CALLS: list[tuple[str, dict[str, Any]]] = [
    ("/fs/ls", {"path": "dbfs:/tmp/bad"}),
    ("/fs/status", {"path": _FILE}),
    ("/fs/head", {"path": _FILE, "max_bytes": 10}),
    ("/fs/read", {"path": _FILE, "offset": 0, "length": 10}),
    ("/fs/put", {"path": _FILE, "contents": "x", "overwrite": True}),
    ("/fs/write", {"path": _FILE, "data": "eA==", "overwrite": True}),
    ("/fs/mkdirs", {"path": "dbfs:/tmp/bad/dir"}),
    ("/fs/cp", {"from": _FILE, "to": "dbfs:/tmp/bad/copy", "recurse": False}),
    ("/fs/mv", {"from": "dbfs:/tmp/bad/copy", "to": "dbfs:/tmp/bad/moved", "recurse": False}),
    ("/fs/rm", {"path": "dbfs:/tmp/bad/moved", "recurse": False}),
    ("/mounts/mount", {"source": "s3a://bucket/x", "mount_point": "/mnt/bad", "extra_configs": {"a": "b"}}),
    ("/mounts/unmount", {"mount_point": "/mnt/bad"}),
    ("/mounts/list", {}),
    ("/sessions/close", {"session_id": "x", "user_id": "y"}),
]
DELETES = ("/fs/mv", "/fs/rm")
"""What is never given a path outside of the test's own directory."""


@pytest.mark.parametrize("seed", [7])
def test_each_call_is_carried_out_or_refused_in_words(world: World, seed: int) -> None:
    draw = random.Random(seed)
    headers = {"Authorization": f"Bearer {world.control.token}", "Content-Type": "application/json"}
    for number in range(CASES):
        path, good = draw.choice(CALLS)
        document: Any = changed(draw, good) if draw.random() < 0.8 else value(draw)
        if isinstance(document, dict) and (path in DELETES or draw.random() < 0.3):
            document |= {name: f"dbfs:/tmp/bad/{text(draw)}" for name in ("path", "from", "to") if name in document}
        if path not in DELETES and draw.random() < 0.03:
            path += draw.choice(("", "x", "/..", "?a=b", "%00"))
        body = json.dumps(document).encode()
        body = damaged(draw, body) if draw.random() < 0.2 and path not in DELETES else body
        answer = requests.post(f"{world.control.url}{path}", data=body, headers=headers, timeout=60)
        case = f"case {number}: {path} {body[:400]!r}: {answer.status_code} {answer.text[:400]}"
        told = answer.json()
        if answer.status_code != 200:
            assert answer.status_code < 500, case
            assert told["error_code"].isupper() and told["message"].strip(), case
    assert world.control("/fs/put", path=_FILE, contents="it goes on", overwrite=True).status_code == 200
    assert world.control("/fs/head", path=_FILE).json()["text"] == "it goes on"
    log = world.cluster.log.read_text()
    assert "services/spark/control.py" not in log, log[-4000:]
