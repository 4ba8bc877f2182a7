"""What a person or a client sees of the whole, as text: commands, profile, services, routes.

`make snapshots` writes each view into a file beside this one. A change that nobody planned shows as a difference there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import click
import yaml

from docs.capabilities import inventory
from emulator.__main__ import main as emulator
from foundation.profile import ROOT, Profile, load
from pinflow.cli import cli
from pinflow.stack.launch import services
from services.airflow import mwaa
from services.databricks.workspace import app as workspace
from services.databricks.workspace import pages

FOLDER = Path(__file__).parent


def commands() -> Iterator[str]:
    """The targets of the Makefile, then every command of the tool and of the emulator with its help."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target, text in re.findall(r"^([a-z0-9-]+):.*?## (.*)", makefile, re.MULTILINE):
        yield f"make {target}: {text}"
    yield from _help(cli, "bin/pinflow")
    yield from _help(emulator, "python -m emulator")


def _help(command: click.Command, name: str, parent: click.Context | None = None) -> Iterator[str]:
    # A fixed width: click's own depends on the terminal.
    context = click.Context(command, info_name=name, parent=parent, terminal_width=110, max_content_width=110)
    yield f"\n{'=' * 110}\n{command.get_help(context)}"
    if isinstance(command, click.Group):
        for each in command.list_commands(context):
            child = command.get_command(context, each)
            assert child is not None
            yield from _help(child, each, context)


def profile() -> Iterator[str]:
    """Every key of the profile: what it takes, and its default."""
    schema = Profile.model_json_schema()
    yield from _keys(schema, schema["$defs"], "")


def _keys(section: dict[str, Any], definitions: dict[str, Any], prefix: str) -> Iterator[str]:
    for name, field in section["properties"].items():
        default = "" if name in section.get("required", ()) else f" = {_value(field.get('default'))}"
        options = field.get("anyOf") or [field]
        nested = [definitions[option["$ref"].rpartition("/")[2]] for option in options if "$ref" in option]
        kinds = " or ".join(_kind(option) for option in options)
        yield f"{prefix}{name}: {kinds}{default}"
        for each in nested:
            yield from _keys(each, definitions, f"{prefix}{name}.")


def _kind(option: dict[str, Any]) -> str:
    if "$ref" in option:
        return "section"
    if "enum" in option:
        return " | ".join(option["enum"])
    limits = {key: option[key] for key in ("format", "pattern", "minimum", "items") if key in option}
    return str(option["type"]) + "".join(f" {key} {_value(value)}" for key, value in limits.items())


def _value(value: object) -> str:
    return "null" if value is None else str(value)


def running() -> Iterator[str]:
    """What `make up` starts with profiles/local.yaml: each service, its ports, and what must be ready before it."""
    local = load("local")
    for service in services(local):
        ports = ", ".join(str(port) for port in service.ports(local))
        needs = f"; needs {', '.join(service.needs)}" if service.needs else ""
        yield f"{service.name}: {service.title}; ports {ports}; {service.memory} GiB{needs}"


def routes() -> Iterator[str]:
    """The calls that API Gateway and the stand-ins answer."""
    yield from _section("API Gateway (localstack/template.yaml)", _gateway_calls())
    yield from _section("REST proxy", (c.call for c in inventory.rest_proxy_calls() if c.call))
    yield from _section("Kafka Connect", (c.call for c in inventory.connect_calls() if c.call))
    yield from _section("Databricks workspace", _workspace_calls())
    yield from _section("MWAA", mwaa.CALLS)


def _section(title: str, calls: Iterable[inventory.Call]) -> Iterator[str]:
    yield f"# {title}"
    yield from (f"{method} {path}" for path, method in sorted({(path, method) for method, path in calls}))
    yield ""


def _gateway_calls() -> Iterator[inventory.Call]:
    template = yaml.load((ROOT / "localstack" / "template.yaml").read_text(encoding="utf-8"), _Template)
    (api,) = (each for each in template["Resources"].values() if each["Type"] == "AWS::ApiGateway::RestApi")
    for path, methods in api["Properties"]["Body"]["paths"].items():
        for method in methods:
            if method == "x-amazon-apigateway-any-method" or method.upper() in inventory.METHODS:
                yield ("ANY" if "any" in method else method.upper()), path


class _Template(yaml.SafeLoader):
    """Reads CloudFormation's short functions (`!Ref`, `!Sub`) as their plain values."""


_Template.add_multi_constructor("!", lambda loader, _, node: getattr(loader, f"construct_{node.id}")(node))


def _workspace_calls() -> Iterator[inventory.Call]:
    """The calls of the API and of the pages."""
    yield from ((call.method, call.path) for api in workspace.APIS for call in api.calls)
    for route in pages.ROUTES:
        yield from ((method, route.path_format) for method in (route.methods or set()) - {"HEAD"})


VIEWS: dict[str, Callable[[], Iterator[str]]] = {
    "commands.txt": commands,
    "profile.txt": profile,
    "services.txt": running,
    "routes.txt": routes,
}
"""The views by file."""


def text(file: str) -> str:
    """A view as its file has it."""
    return "\n".join(VIEWS[file]()).rstrip() + "\n"
