"""A control endpoint over a local directory: what the cluster's host answers to dbutils.fs, without Hadoop."""

from __future__ import annotations

import base64
import json
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit


class Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Control:
    """dbfs:/ is `root`; mounts are only remembered."""

    token = "control-token"

    def __init__(self, root: Path) -> None:
        self.root = root
        self.mounts: dict[str, dict[str, Any]] = {}
        control = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                address = urlsplit(self.path)
                call = address.path.strip("/").replace("/", "_")
                given = {"data": body, **dict(parse_qsl(address.query))} if address.query else json.loads(body)
                try:
                    if self.headers["Authorization"] != f"Bearer {control.token}":
                        raise Refused(401, "java.lang.SecurityException: wrong token")
                    status, answer = 200, getattr(control, call)(**given)
                except Refused as refused:
                    status, answer = refused.status, {"error_code": "INVALID", "message": str(refused)}
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def file(self, path: str) -> Path:
        return self.root / path.removeprefix("dbfs:").lstrip("/")

    def existing(self, path: str) -> Path:
        file = self.file(path)
        if not file.exists():
            raise Refused(404, f"java.io.FileNotFoundException: No such file or directory: {path}")
        return file

    def entry(self, file: Path) -> dict[str, Any]:
        slash = "/" if file.is_dir() else ""
        path = f"dbfs:/{file.relative_to(self.root)}{slash}"
        size = 0 if slash else file.stat().st_size
        return {"path": path, "name": file.name + slash, "size": size, "modificationTime": 1_700_000_000_000}

    def fs_ls(self, path: str) -> list[dict[str, Any]]:
        file = self.existing(path)
        return [self.entry(each) for each in sorted(file.iterdir())] if file.is_dir() else [self.entry(file)]

    def fs_status(self, path: str) -> dict[str, Any]:
        return self.entry(self.existing(path))

    def fs_head(self, path: str, max_bytes: int) -> dict[str, Any]:
        return {"text": self.existing(path).read_bytes()[:max_bytes].decode()}

    def fs_put(self, path: str, contents: str, overwrite: bool) -> dict[str, Any]:
        file = self.file(path)
        if file.exists() and not overwrite:
            raise Refused(409, f"org.apache.hadoop.fs.FileAlreadyExistsException: {path}")
        return self.fs_upload(path, contents.encode(), "true")

    def fs_upload(self, path: str, data: bytes, overwrite: str) -> dict[str, Any]:
        self.file(path).parent.mkdir(parents=True, exist_ok=True)
        self.file(path).write_bytes(data)
        return {}

    def fs_read(self, path: str, offset: int, length: int) -> dict[str, Any]:
        return {"data": base64.b64encode(self.existing(path).read_bytes()[offset : offset + length]).decode()}

    def fs_mkdirs(self, path: str) -> dict[str, Any]:
        self.file(path).mkdir(parents=True, exist_ok=True)
        return {}

    def fs_cp(self, recurse: bool, to: str, **given: str) -> dict[str, Any]:
        source = self.existing(given["from"])
        shutil.copytree(source, self.file(to)) if source.is_dir() else shutil.copy(source, self.file(to))
        return {}

    def fs_mv(self, recurse: bool, to: str, **given: str) -> dict[str, Any]:
        shutil.move(self.existing(given["from"]), self.file(to))
        return {}

    def fs_rm(self, path: str, recurse: bool) -> dict[str, Any]:
        file = self.file(path)
        found = file.exists()
        if found:
            shutil.rmtree(file) if file.is_dir() else file.unlink()
        return {"removed": found}

    def mounts_mount(self, source: str, mount_point: str, **given: Any) -> dict[str, Any]:
        if mount_point in self.mounts:
            raise Refused(
                400,
                "java.rmi.RemoteException: java.lang.IllegalArgumentException: requirement failed: "
                f"Directory already mounted: {mount_point}; nested exception is: ",
            )
        self.mounts[mount_point] = {"source": source, **given}
        return {}

    def mounts_unmount(self, mount_point: str) -> dict[str, Any]:
        if self.mounts.pop(mount_point, None) is None:
            raise Refused(
                400,
                "java.rmi.RemoteException: java.lang.IllegalArgumentException: requirement failed: "
                f"Directory not mounted: {mount_point}; nested exception is: ",
            )
        return {}

    def mounts_list(self) -> list[dict[str, Any]]:
        return [
            {"mountPoint": point, "source": mount["source"], "encryptionType": ""}
            for point, mount in self.mounts.items()
        ]

    def mounts_refresh(self) -> dict[str, Any]:
        return {}
