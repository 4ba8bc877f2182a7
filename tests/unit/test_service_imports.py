"""What every command would pay if the services' definitions imported it."""

from __future__ import annotations

import subprocess
import sys

from foundation.profile import ROOT


def test_the_services_are_known_without_the_generator_of_rows() -> None:
    code = "import sys, services.mysql.native; print([m for m in sys.modules if m.partition('.')[0] == 'faker'])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
