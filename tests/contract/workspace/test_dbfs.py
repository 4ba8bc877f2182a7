"""DBFS through the official client, against a control endpoint of the test's own that keeps files in memory."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from databricks.sdk.errors import BadRequest, NotFound, ResourceAlreadyExists

from tests.contract.workspace.conftest import Client, Service
from tests.servers.ports import free_port


class Files(BaseHTTPRequestHandler):
    """The control endpoint's part for files."""

    kept: dict[str, bytes]
    tokens: set[str]

    def do_POST(self) -> None:
        self.tokens.add(str(self.headers["Authorization"]))
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        try:
            status, answer = 200, getattr(self, self.path.replace("/fs/", ""))(asked)
        except FileNotFoundError as error:
            status, answer = 404, {"error_code": "NOT_FOUND", "message": f"java.io.FileNotFoundException: {error}"}
        except FileExistsError as error:
            status, answer = 409, {"error_code": "EXISTS", "message": f"org.apache…FileAlreadyExistsException: {error}"}
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def status(self, asked: dict[str, Any]) -> dict[str, Any]:
        path = asked["path"].rstrip("/")
        if path in self.kept:
            name = path.rpartition("/")[2]
            return {"path": path, "name": name, "size": len(self.kept[path]), "modificationTime": 1}
        if any(file.startswith(f"{path}/") for file in self.kept):
            return {"path": f"{path}/", "name": f"{path.rpartition('/')[2]}/", "size": 0, "modificationTime": 0}
        raise FileNotFoundError(path)

    def ls(self, asked: dict[str, Any]) -> list[dict[str, Any]]:
        self.status(asked)
        return [self.status({"path": file}) for file in self.kept if file.startswith(asked["path"])]

    def write(self, asked: dict[str, Any]) -> dict[str, Any]:
        if asked["path"] in self.kept and not asked["overwrite"]:
            raise FileExistsError(asked["path"])
        self.kept[asked["path"]] = base64.b64decode(asked["data"])
        return {}

    def read(self, asked: dict[str, Any]) -> dict[str, Any]:
        self.status(asked)
        data = self.kept[asked["path"]][asked["offset"] : asked["offset"] + asked["length"]]
        return {"data": base64.b64encode(data).decode(), "bytes_read": len(data)}

    def mv(self, asked: dict[str, Any]) -> dict[str, Any]:
        self.kept[asked["to"]] = self.kept.pop(asked["from"])
        return {}

    def rm(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {"removed": self.kept.pop(asked["path"], None) is not None}

    def mkdirs(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {}

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def files() -> Iterator[Any]:
    handler = type("Kept", (Files,), {"kept": {}, "tokens": set()})
    server = ThreadingHTTPServer(("127.0.0.1", free_port()), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def dbfs(files: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    url = f"http://127.0.0.1:{files.server_port}"
    service = Service(tmp_path_factory.mktemp("dbfs") / "home", control_url=url)
    service.start()
    yield service.client.dbfs
    service.stop()


def test_a_file_is_written_and_read(dbfs: Client, files: Any) -> None:
    content = bytes(range(256)) * 10_000
    dbfs.upload("/tmp/big.bin", io.BytesIO(content))
    assert files.RequestHandlerClass.kept["dbfs:/tmp/big.bin"] == content
    assert dbfs.download("/tmp/big.bin").read() == content
    assert files.RequestHandlerClass.tokens == {"Bearer control-token"}


def test_a_file_is_written_block_by_block(dbfs: Client, files: Any) -> None:
    handle = dbfs.create("/tmp/blocks.bin", overwrite=True).handle
    for block in (b"first ", b"second"):
        dbfs.add_block(handle, base64.b64encode(block).decode())
    dbfs.close(handle)
    assert files.RequestHandlerClass.kept["dbfs:/tmp/blocks.bin"] == b"first second"


def test_files_are_listed_with_their_sizes(dbfs: Client) -> None:
    dbfs.mkdirs("/tmp/listed")
    dbfs.put("/tmp/listed/a.txt", contents=base64.b64encode(b"abc").decode())
    (found,) = dbfs.list("/tmp/listed")
    assert (found.path, found.file_size, found.is_dir) == ("/tmp/listed/a.txt", 3, False)
    assert dbfs.get_status("dbfs:/tmp/listed").is_dir


def test_a_file_is_moved_and_deleted(dbfs: Client) -> None:
    dbfs.put("/tmp/from.txt", contents="")
    dbfs.move("/tmp/from.txt", "/tmp/to.txt")
    assert not dbfs.exists("/tmp/from.txt") and dbfs.exists("/tmp/to.txt")
    dbfs.delete("/tmp/to.txt")
    assert not dbfs.exists("/tmp/to.txt")


def test_errors_are_worded_as_the_rest_api_words_them(dbfs: Client) -> None:
    with pytest.raises(NotFound, match="No file or directory exists on path /no/such") as caught:
        dbfs.get_status("/no/such")
    assert caught.value.error_code == "RESOURCE_DOES_NOT_EXIST"
    dbfs.put("/tmp/there.txt", contents="")
    with pytest.raises(ResourceAlreadyExists, match="A file or directory already exists"):
        dbfs.create("/tmp/there.txt")
    with pytest.raises(BadRequest):
        dbfs.read("/tmp/there.txt", length=2 * 1024 * 1024)
    with pytest.raises(BadRequest):
        dbfs.get_status("relative")


def test_a_cluster_that_is_down_is_said_to_be(own_service: Service) -> None:
    own_service.start()
    answer = own_service.call("GET", "/api/2.0/dbfs/list?path=/")
    assert (answer.status_code, answer.json()["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")
    assert "not reachable" in answer.json()["message"]
