"""The registry of tables and questions, for everything outside of spark/.

It lies in spark/, which is synced to Databricks and imports nothing of the rest; so the rest imports it from there.
"""

from __future__ import annotations

import sys

from foundation.paths import ROOT

# Last on the path: spark/ holds the package `pinterest` and nothing else that has a name to hide.
sys.path.append(str(ROOT / "spark"))

from pinterest.registry import QUESTIONS, TABLES, Kind, Question, Table

__all__ = ["QUESTIONS", "TABLES", "Kind", "Question", "Table"]
