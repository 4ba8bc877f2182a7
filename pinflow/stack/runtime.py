"""Containers or processes: RUNTIME decides, else whether a Docker engine answers.

A running stack is always shown and stopped the way that it was started.
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
    """Start the stack in containers or as processes, report which and why, and return it.

    Without RUNTIME, an engine without images falls back to processes, which are installed first. Raises PinflowError
    if containers are requested while processes run.
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
        raise PinflowError(f"{profile.path.stem} runs without Docker already", "run make down first")
    if isinstance(stack, NativeStack):
        home = profile.home.relative_to(ROOT) if profile.home.is_relative_to(ROOT) else profile.home
        say(f"starting without Docker ({why}), state in {home}")
        install.main([], str(profile.path))  # nothing has installed it before: containers need none of it
        stack.up(say)
    if profile.stack and "connect" in profile.stack.services:
        # After LocalStack lost S3, its hook makes the sink write everything again.
        until_refilled(profile, 30, say)
    _finish_start(profile, say)
    return stack


def _finish_start(profile: Profile, say: Callable[[str], None]) -> None:
    """After a start: stop the streams of the profile's previous uid, and save what was started."""
    before = next((change.before for change in changes.since_start(profile) if change.key == "uid"), None)
    if before and profile.stack and "databricks" in profile.stack.services:
        # Imported here because Databricks' client takes two seconds.
        from pinflow import stream

        say(f"stopping the streams of the previous uid {before}")
        stream.stop(profile.model_copy(update={"uid": before}), say)
    changes.remember(profile)


def current(profile: Profile) -> Stack:
    """The running stack, else the one that `up` would start."""
    return _choose(profile)[1]


def _choose(profile: Profile) -> tuple[str, Stack, str]:
    """RUNTIME, the stack, and why it is that one. Running processes always make it the native one."""
    chosen = os.environ.get("RUNTIME", "")
    if chosen not in _CHOICES:
        raise PinflowError(f"RUNTIME={chosen}", "use RUNTIME=compose or RUNTIME=native, or unset it")
    native = NativeStack(profile)
    # Includes orphans of a killed supervisord: the next `up` or `down` stops them.
    alive = native.supervision.alive() or bool(supervision.survivors(profile.home))
    if alive or chosen == "native":
        return chosen, native, "it is running that way" if alive else "RUNTIME=native"
    missing = _no_engine()
    if missing:
        if chosen:
            raise PinflowError(f"RUNTIME=compose: {missing}", "start Docker, or unset RUNTIME")
        return chosen, native, missing
    return (
        chosen,
        ComposeStack(profile),
        "RUNTIME=compose" if chosen else "a Docker engine answers; RUNTIME=native does without",
    )


def _no_engine() -> str:
    """Why Compose cannot be used; "" if it can."""
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
