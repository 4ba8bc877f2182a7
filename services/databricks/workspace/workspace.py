"""One workspace: everything that the API and the pages need, opened and closed together."""

from __future__ import annotations

from services.databricks.workspace.continuous import ContinuousJobs
from services.databricks.workspace.runs import Runs
from services.databricks.workspace.secret_scopes import SecretScopes
from services.databricks.workspace.settings import Settings
from services.databricks.workspace.store import Store
from services.databricks.workspace.tree import Tree
from services.databricks.workspace.uploads import Uploads


class Workspace:
    """Settings, database, files, runs, continuous jobs, open uploads to DBFS and secret scopes."""

    def __init__(self, settings: Settings) -> None:
        settings.home.mkdir(parents=True, exist_ok=True)
        # Outputs of notebooks hold data, and a machine can have other users.
        settings.home.chmod(0o700)
        self.settings = settings
        self.store = Store(settings.home / "workspace.sqlite")
        self.tree = Tree(settings.home / "workspace", self.store, settings.user)
        self.runs = Runs(settings, self.store, self.tree)
        self.secrets = SecretScopes(settings.home / "secrets.json", settings.secrets, settings.user)
        self.continuous = ContinuousJobs(self.runs, self.store)
        self.uploads = Uploads()

    async def open(self) -> None:
        """Continue what was running when the workspace stopped."""
        await self.runs.open()
        self.continuous.open()

    async def close(self) -> None:
        """Stop every notebook process; the runs continue, or report the restart, at the next start."""
        self.continuous.close()
        await self.runs.close()
        self.store.close()
