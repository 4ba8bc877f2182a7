"""Sessions of Spark Connect clients that are gone: their streams go on until the server ends them."""

from __future__ import annotations

from typing import Any

from pyspark import SparkContext


class Sessions:
    """The sessions of the Spark Connect server in this driver."""

    def __init__(self, context: SparkContext) -> None:
        self._jvm: Any = context._jvm
        self._context: Any = context._jsc.sc()

    def open(self) -> None:
        """Start the Spark Connect server: from now on clients may come."""
        self._jvm.org.apache.spark.sql.connect.service.SparkConnectService.start(self._context)

    def any(self) -> bool:
        """Whether a client has a session."""
        return bool(self._manager().listActiveSessions().nonEmpty())

    def close(self, session_id: str, user_id: str) -> bool:
        """End a session: its work is interrupted, its streams are stopped. False if there is no such session."""
        manager = self._manager()
        key = self._jvm.org.apache.spark.sql.connect.service.SessionKey(user_id, session_id)
        holder = manager.getIsolatedSessionIfPresent(key)
        if holder.isEmpty():
            return False
        for query in holder.get().session().streams().active():
            query.stop()
        manager.closeSession(key, False)
        return True

    def _manager(self) -> Any:
        service = self._jvm.org.apache.spark.sql.connect.service
        return getattr(getattr(service, "SparkConnectService$"), "MODULE$").sessionManager()
