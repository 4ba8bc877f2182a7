"""Sessions of Spark Connect clients that died: their streams would go on until the server ends them."""

from __future__ import annotations

from typing import Any

from pyspark import SparkContext

from services.spark import compat


class Sessions:
    """The sessions of the Spark Connect server in this driver."""

    def __init__(self, context: SparkContext) -> None:
        self._jvm: Any = compat.gateway_of(context).jvm
        self._context: Any = compat.java_context(context).sc()

    def open(self) -> None:
        """Start the Spark Connect server: from now on clients may connect."""
        self._jvm.org.apache.spark.sql.connect.service.SparkConnectService.start(self._context)

    def any(self) -> bool:
        """Whether a client has a session."""
        return bool(compat.session_manager(self._jvm).listActiveSessions().nonEmpty())

    def close(self, session_id: str, user_id: str) -> bool:
        """End a session: its work is interrupted, its streams are stopped. False if there is no such session."""
        manager = compat.session_manager(self._jvm)
        key = self._jvm.org.apache.spark.sql.connect.service.SessionKey(user_id, session_id)
        holder = manager.getIsolatedSessionIfPresent(key)
        if holder.isEmpty():
            return False
        for query in holder.get().session().streams().active():
            query.stop()
        manager.closeSession(key, False)
        return True
