"""Containers or processes: RUNTIME says which, else an engine that answers decides.

What runs already is looked at and stopped the way that it was started.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable

from foundation import changes
from foundation.errors import PinflowError
from foundation.profile import ROOT, Profile
from pinflow import install
from pinflow.account.waiting import until_refilled
from pinflow.stack import supervision
from pinflow.stack.compose import ComposeStack
from pinflow.stack.images import NoImages
from pinflow.stack.native import NativeStack

Stack = NativeStack | ComposeStack

_CHOICES = ("compose", "native", "")


def up(profile: Profile, say: Callable[[str], None]) -> Stack:
    """Start the stack one way or the other, say which and why, and return it.

    Where nobody has chosen, an engine without images is no reason to fail: it starts natively then, and says so. What
    runs natively is installed first. Raises PinflowError where containers are asked for and processes run.
    """
    chosen, stack, why = _choose(profile)
    if isinstance(stack, ComposeStack):
        say(f"starting in containers ({why}), project {stack.project}")
        try:
            stack.up(say)
        except NoImages as reason:
            if chosen:
                raise
            stack, why = NativeStack(profile), reason.what
    elif chosen == "compose":
        raise PinflowError(f"{profile.path.stem} runs without Docker already", "make down, then again")
    if isinstance(stack, NativeStack):
        home = profile.home.relative_to(ROOT) if profile.home.is_relative_to(ROOT) else profile.home
        say(f"starting without Docker ({why}), state in {home}")
        install.main([], str(profile.path))  # nothing has installed it before: containers need none of it
        stack.up(say)
    if profile.stack and "connect" in profile.stack.services:
        # After LocalStack lost S3, its hook makes the sink write everything again.
        until_refilled(profile, 30, say)
    _written_down(profile, say)
    return stack


def _written_down(profile: Profile, say: Callable[[str], None]) -> None:
    """After a start: end the streams of a uid that the profile had before, and write down what was started."""
    before = next((change.before for change in changes.since_start(profile) if change.key == "uid"), None)
    if before and profile.stack and "databricks" in profile.stack.services:
        # Here, because Databricks' client takes two seconds to import, which every other command would pay.
        from pinflow import stream

        say(f"the streams of {before}, which nobody would see any more:")
        stream.stop(profile.model_copy(update={"uid": before}), say)
    changes.remember(profile)


def current(profile: Profile) -> Stack:
    """The stack that runs, else the one that `up` would start."""
    return _choose(profile)[1]


def _choose(profile: Profile) -> tuple[str, Stack, str]:
    """What was asked for, the stack, and why it is that one; what runs natively is never taken for anything else."""
    chosen = os.environ.get("RUNTIME", "")
    if chosen not in _CHOICES:
        raise PinflowError(f"RUNTIME={chosen}", "write RUNTIME=compose or RUNTIME=native, or leave it out")
    native = NativeStack(profile)
    # Also what a killed supervisord has left: the next `up` or `down` ends it.
    alive = native.supervision.alive() or bool(supervision.survivors(profile.home))
    if alive or chosen == "native":
        return chosen, native, "it runs so" if alive else "RUNTIME=native"
    missing = _no_engine()
    if missing:
        if chosen:
            raise PinflowError(f"RUNTIME=compose: {missing}", "start Docker, or leave RUNTIME out")
        return chosen, native, missing
    return (
        chosen,
        ComposeStack(profile),
        "RUNTIME=compose" if chosen else "an engine answers; RUNTIME=native does without",
    )


def _no_engine() -> str:
    """Why Compose cannot be used; nothing where it can."""
    if shutil.which("docker") is None:
        return "no `docker` on PATH"
    for command, what in (
        (["docker", "info", "--format", "{{.ServerVersion}}"], "no Docker engine answers"),
        (["docker", "compose", "version", "--short"], "`docker compose` is not installed"),
    ):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
        except subprocess.TimeoutExpired:
            return what
        if done.returncode or not done.stdout.strip():
            return what
    return ""
