"""`<LocalStack's python> without.py '[[HOOK, MODULE:CLASS.NAME], …]'`: run each hook in a LocalStack without that name.

Its last line is JSON: what the hook raised, or null, by name.
"""

import contextlib
import importlib
import json
import sys
from pathlib import Path


def error_of(hook: str, name: str) -> str | None:
    module, _, path = name.partition(":")
    owner, attribute = path.split(".")
    classes = getattr(importlib.import_module(module), owner).__mro__
    gone = [(base, vars(base)[attribute]) for base in classes if attribute in vars(base)]
    for base, _ in gone:
        delattr(base, attribute)
    try:
        exec(Path(hook).read_bytes(), {})
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    finally:
        for base, value in gone:
            setattr(base, attribute, value)
    return None


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):
        raised = {name: error_of(hook, name) for hook, name in json.loads(sys.argv[1])}
    print(json.dumps(raised))
