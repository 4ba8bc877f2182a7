"""Whether what the bucket's requirements.txt asks for is installed: MWAA would install it, here nobody does."""

from __future__ import annotations

from importlib.metadata import distributions
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name


def differences(text: str, environment: Path) -> list[str]:
    """A sentence for each requirement that the environment (a venv) does not meet; options such as -c are skipped."""
    installed = {
        canonicalize_name(found.metadata["Name"]): found.version
        for found in distributions(path=[str(path) for path in environment.glob("lib/python*/site-packages")])
    }
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        wanted = line.partition(" #")[0].strip()
        if not wanted or wanted.startswith(("#", "-")):
            continue
        try:
            requirement = Requirement(wanted)
        except InvalidRequirement as error:
            found.append(f"line {number}: {wanted}: {str(error).splitlines()[0]}")
            continue
        version = installed.get(canonicalize_name(requirement.name))
        if requirement.marker and not requirement.marker.evaluate():
            continue
        if version is None:
            found.append(f"line {number}: {wanted} is not installed")
        elif not requirement.specifier.contains(version, prereleases=True):
            found.append(f"line {number}: {wanted}: version {version} is installed")
    return found
