"""DBFS handles: they collect what `create` and `add-block` bring, until `close` writes it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from services.databricks.workspace.errors import ApiError, does_not_exist

# Of all open handles together. S3 cannot append to an object, so a file is collected and written at once.
LIMIT = 256 * 1024 * 1024
# Seconds without use after which a handle closes. Databricks documents 10 minutes; clients that work there work here.
IDLE = 15 * 60.0


@dataclass
class Upload:
    """One open handle."""

    path: str
    overwrite: bool
    used: float
    data: bytearray = field(default_factory=bytearray)


@dataclass
class Uploads:
    """The open handles; those of clients that went away are dropped after ``IDLE`` without a block."""

    clock: Callable[[], float] = time.monotonic
    _open: dict[int, Upload] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, handle: int, path: str, overwrite: bool) -> None:
        """Open a handle."""
        with self._lock:
            self._drop_idle()
            self._open[handle] = Upload(path, overwrite, self.clock())

    def append(self, handle: int, data: bytes) -> None:
        """Add a block; raises ApiError."""
        with self._lock:
            upload = self._get(handle)
            if sum(len(each.data) for each in self._open.values()) + len(data) > LIMIT:
                raise ApiError(400, "MAX_BLOCK_SIZE_EXCEEDED", f"Open uploads would hold more than {LIMIT} bytes.")
            upload.data += data
            upload.used = self.clock()

    def close(self, handle: int) -> Upload:
        """Close the handle; what it collected. Raises ApiError."""
        with self._lock:
            upload = self._get(handle)
            del self._open[handle]
            return upload

    def _drop_idle(self) -> None:
        now = self.clock()
        self._open = {handle: upload for handle, upload in self._open.items() if now - upload.used < IDLE}

    def _get(self, handle: int) -> Upload:
        self._drop_idle()
        if handle not in self._open:
            raise does_not_exist(f"No stream handle {handle} is open.")
        return self._open[handle]
