"""Deploys spark/ to the Databricks workspace: our notebooks and the package that they import."""

from __future__ import annotations

from foundation.databricks import Workspace
from foundation.profile import ROOT, Profile
from foundation.service import Say
from pinflow.deploy.difference import Difference


class Notebooks:
    """The workspace folder of our notebooks."""

    def __init__(self, profile: Profile) -> None:
        self.workspace = Workspace(profile)

    def differences(self) -> list[Difference]:
        """Files of spark/ that are missing from the workspace or different there."""
        target = self.workspace.spark_folder
        found = self.workspace.differing(ROOT / "spark", target)
        return [Difference(path, before, after) for path, (before, after) in found.items()]

    def apply(self, say: Say) -> None:
        """Upload the folder."""
        self.workspace.sync_notebooks(say)
