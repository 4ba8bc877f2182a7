"""The calls, options and functions of each stand-in, read from its code: route tables, lists of options, modules.

What a stand-in does not have comes from the models of Databricks' and AWS's own clients.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import re
import typing
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import botocore.session
from starlette.routing import Route

from foundation import supervised
from foundation.profile import ROOT
from services.airflow import mwaa
from services.connect import options, rest
from services.databricks.workspace import app as workspace
from services.databricks.workspace import definitions
from services.databricks.workspace.api import WITHOUT_EFFECT
from services.databricks.workspace.api import Call as WorkspaceCall
from services.rest_proxy import app as rest_proxy

WORKSPACE = "services/databricks/workspace"
NOTEBOOK = "services/databricks/notebook"
KINESIS = "services/spark/kinesis/pyspark_kinesis"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")

State = Literal["real", "stand-in", "accepted without effect", "refused"]
Call = tuple[str, str]
"""A method and a path, in which `{…}` stands for what varies."""


@dataclass(frozen=True)
class Capability:
    """One line of a table. A test that sends `call`, or whose text matches one of `signs`, shows it."""

    name: str
    state: State
    note: str = ""
    call: Call | None = None
    signs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Section:
    """One table: title, the stand-in's folder, and where its tests are, best first."""

    title: str
    source: str
    tests: tuple[str, ...]
    capabilities: Sequence[Capability]


def sections() -> list[Section]:
    """All tables, in the order of the page."""
    proxy = "tests/recorded/rest_proxy", "tests/contract/rest_proxy"
    units = "tests/unit/test_connect_options.py", "tests/unit/test_connect_values.py"
    sink = "tests/recorded/connect", "tests/contract/connect", *units
    api = ("tests/contract/workspace",)
    notebook = "tests/contract/notebook", "tests/unit/notebook", *api
    magic = "tests/contract/notebook", "tests/unit/notebook/test_magics.py"
    kinesis = "tests/unit/spark/kinesis", "tests/contract/kinesis"
    return [
        Section("REST proxy: calls", "services/rest_proxy", proxy, rest_proxy_calls()),
        Section("Kafka Connect: calls", "services/connect", sink, connect_calls()),
        Section("S3 sink: options", "services/connect", sink, connect_options()),
        Section("Databricks workspace: calls", WORKSPACE, api, workspace_calls()),
        Section("Databricks workspace: settings of jobs and tasks", WORKSPACE, api, job_settings()),
        Section("Notebooks: dbutils", NOTEBOOK, notebook, dbutils_functions()),
        Section("Notebooks: magics", NOTEBOOK, magic, magics()),
        Section("Kinesis source: options", "services/spark/kinesis", kinesis, kinesis_options()),
        Section("Kinesis source: columns", "services/spark/kinesis", kinesis, kinesis_columns()),
        Section("MWAA: calls", "services/airflow", ("tests/unit/airflow",), mwaa_calls()),
    ]


def rest_proxy_calls() -> list[Capability]:
    return _served((call.method, call.path) for call in rest_proxy.calls(typing.cast(Any, _Anything())))


class _Anything:
    """Stands for the proxy that the route table binds its handlers to."""

    def __getattr__(self, name: str) -> Any:
        return lambda request: None


def connect_calls() -> list[Capability]:
    routes = [route for route in rest.application(typing.cast(Any, None)).routes if isinstance(route, Route)]
    return _served((method, route.path) for route in routes for method in sorted(route.methods or ()))


def _served(calls: Iterable[Call]) -> list[Capability]:
    """Calls of a stand-in, without HEAD, OPTIONS and the path that `make status` reads."""
    plain = [(method, re.sub(r":\w+}", "}", path)) for method, path in calls]
    ours = [call for call in plain if call[0] in METHODS and call[1] != supervised.PATH]
    return [Capability(" ".join(call), "stand-in", call=call) for call in dict.fromkeys(ours)]


def connect_options() -> list[Capability]:
    return [_option(option) for option in options.OPTIONS.values()]


def _option(option: options.Option) -> Capability:
    states: dict[options.Support, State] = {
        options.Support.IMPLEMENTED: "stand-in",
        options.Support.IGNORED: "accepted without effect",
        options.Support.REFUSED: "refused",
    }
    state, note = states[option.support], option.why
    if state == "stand-in" and option.allowed:
        taken = ", ".join(f"`{value}`" if value else "empty" for value in option.allowed)
        nothing_else = option.allowed == (option.default,)
        state, note = ("refused", f"all but {taken}") if nothing_else else ("stand-in", f"only {taken}")
    signs = [
        rf"names\(Support\.{option.support.name}\)",
        # A key, an argument or a line of a list: a name that is looked for in an answer is not set.
        rf'(?m)"{re.escape(option.name)}":|\("{re.escape(option.name)}", |^ +"{re.escape(option.name)}",$',
        rf"\b{re.escape(option.name.replace('.', '__'))}=",
    ]
    return Capability(option.name, state, note, signs=(*signs, *([r"if option\.allowed\]"] if option.allowed else [])))


def workspace_calls() -> list[Capability]:
    served = [
        Capability(
            f"{call.method} {call.path}",
            "accepted without effect" if call.without_effect else "stand-in",
            f"version {', '.join(call.versions)}" if call.versions else "",
            _of(call),
            tuple(
                rf"\b{api}\.{name}\(" for api, name, known in sdk_calls() if matches((call.method, call.path), known)
            ),
        )
        for call in _workspace_calls()
    ]
    refused = [
        Capability(f"{method} {path}", "refused", "501", signs=(r"inventory\.refused_by_workspace\(\)",))
        for method, path in refused_by_workspace()
    ]
    return served + refused


def _workspace_calls() -> list[WorkspaceCall]:
    """The calls of the workspace's API, without its pages."""
    return [call for api in workspace.APIS for call in api.calls]


def _of(call: WorkspaceCall) -> Call:
    return call.method, call.path


def refused_by_workspace() -> list[Call]:
    """What Databricks' own client can ask of Jobs, Workspace, DBFS, Clusters and Secrets, and gets a 501 for here."""
    served = [_of(call) for call in _workspace_calls()]
    return list(dict.fromkeys(call for _, _, call in sdk_calls() if not any(matches(route, call) for route in served)))


@functools.cache
def sdk_calls() -> list[tuple[str, str, Call]]:
    """Each method of databricks-sdk that is one request: API (`jobs`), method (`submit`), request."""
    found = []
    for file, api in (
        ("jobs", "jobs"), ("workspace", "workspace"), ("files", "dbfs"), ("compute", "clusters"),
        ("workspace", "secrets"), ("iam", "current_user"), ("compute", "cluster_policies"),
    ):  # fmt: skip
        body = _of_sdk(file, "".join(part.capitalize() for part in api.split("_")) + "API")
        method = ""
        for match in re.finditer(r'^    def (\w+)\(|_api\.do\(\s*"(\w+)",\s*f?"([^"]+)"', body, re.MULTILINE):
            method = match[1] or method
            if match[2]:
                found.append((api, method, (match[2], match[3])))
    return found


@functools.cache
def _of_sdk(file: str, name: str) -> str:
    """The text of a class of databricks-sdk, whose import would take longer than all the rest."""
    package = importlib.util.find_spec("databricks")
    assert package is not None and package.submodule_search_locations
    text = (Path(package.submodule_search_locations[0]) / "sdk" / "service" / f"{file}.py").read_text("utf-8")
    return re.split(rf"^class {name}:\n", text, flags=re.MULTILINE)[1].partition("\nclass ")[0]


def job_settings() -> list[Capability]:
    fields = definitions.JobSettings.model_fields | definitions.Submission.model_fields | definitions.Task.model_fields
    known = [
        Capability(
            name,
            "accepted without effect" if WITHOUT_EFFECT in field.metadata else "stand-in",
            signs=(rf'"{name}": |\b(jobs\.\w+|JobSettings|carried_out|task|submitted)\(([^()]|\([^()]*\))*\b{name}=',),
        )
        for name, field in fields.items()
    ]
    refused = [Capability(name, "refused", signs=(r"inventory\.refused_tasks\(\)",)) for name in refused_tasks()]
    return known + refused


def refused_tasks() -> list[str]:
    """The kinds of task that Databricks' own client knows and the workspace refuses."""
    known = re.findall(r"^    (\w+_task): ", _of_sdk("jobs", "Task"), re.MULTILINE)
    return [name for name in known if name not in definitions.Task.model_fields]


def dbutils_functions() -> list[Capability]:
    """The functions of each module of `dbutils`, as its `help()` shows them."""
    classes = {
        node.name: node
        for file in ("filesystem", "widgets", "dbutils")
        for node in module(f"{NOTEBOOK}/{file}.py").body
        if isinstance(node, ast.ClassDef)
    }
    modules = ast.literal_eval(_assigned(module(f"{NOTEBOOK}/dbutils.py").body, "MODULES"))
    return [
        Capability(f"dbutils.{path}.{function.name}", _effect(function), signs=(rf"\b{path}\.{function.name}\(",))
        for name in modules
        for path, owner in _parts(classes, name, _assigned(classes["DBUtils"].body, name))
        for function in owner.body
        if isinstance(function, ast.FunctionDef) and not function.name.startswith("_")
    ]


def _parts(classes: dict[str, ast.ClassDef], path: str, made: ast.expr) -> Iterator[tuple[str, ast.ClassDef]]:
    """A module of dbutils and the modules in it: (`jobs`, Jobs), (`jobs.taskValues`, TaskValues)."""
    assert isinstance(made, ast.Call) and isinstance(made.func, ast.Name)
    owner = classes[made.func.id]
    yield path, owner
    for function in owner.body:
        if isinstance(function, ast.FunctionDef) and function.name == "__init__":
            for argument in function.args.args[1:]:
                if isinstance(argument.annotation, ast.Name) and argument.annotation.id == "TaskValues":
                    yield f"{path}.{argument.arg}", classes[argument.annotation.id]


def _effect(function: ast.FunctionDef) -> State:
    """Whether a function only returns a constant, raises an error of its own, or does something."""
    body = [node for node in function.body if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))]
    if not body or (isinstance(body[0], ast.Return) and isinstance(body[0].value, ast.Constant | ast.List)):
        return "accepted without effect"
    if isinstance(body[0], ast.Raise) and "NotImplementedError" in ast.unparse(body[0]):
        return "refused"
    return "stand-in"


def magics() -> list[Capability]:
    found: dict[str, State] = ast.literal_eval(_assigned(module(f"{NOTEBOOK}/magics.py").body, "MAGICS"))
    return [
        Capability(f"%{name}", state, signs=(rf"(?:MAGIC |\\n|[\"'\n])%{name}\b",)) for name, state in found.items()
    ]


def kinesis_options() -> list[Capability]:
    body = module(f"{KINESIS}/options.py").body
    lists: dict[str, State] = {
        "WITHOUT_EFFECT": "accepted without effect",
        "FAN_OUT": "refused",
        "UNITY_CATALOG": "refused",
    }
    modes = ", ".join(f"`{mode}`" for mode in ast.literal_eval(_assigned(body, "CONSUMER_MODES")))
    read = {"consumerMode": f"only {modes}", **dict.fromkeys(_keys(body, "_READERS"), "")}
    found = [Capability(name, "stand-in", note, signs=(rf"\b{name}=|[\"']{name}[\"']",)) for name, note in read.items()]
    for registry, state in lists.items():
        names = ast.literal_eval(_assigned(body, registry))
        found += [Capability(name, state, signs=(rf"\b{registry}\b",)) for name in names]
    return found


def kinesis_columns() -> list[Capability]:
    schema = ast.literal_eval(_assigned(module(f"{KINESIS}/__init__.py").body, "SCHEMA"))
    columns = [column.split() for column in schema.split(", ")]
    return [Capability(name, "stand-in", kind, signs=(rf"\b{name}:{kind}\b",)) for name, kind in columns]


def mwaa_calls() -> list[Capability]:
    found = []
    for name, call in mwaa_operations().items():
        state: State = typing.cast(State, mwaa.CALLS.get(call, "refused"))
        method = re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
        signs = (r"inventory\.refused_by_mwaa\(\)",) if state == "refused" else (rf"\.{method}\(",)
        found.append(Capability(f"{name}: {' '.join(call)}", state, signs=signs))
    return found


def mwaa_operations() -> dict[str, Call]:
    """MWAA's operations as boto3 knows them."""
    model = botocore.session.get_session().get_service_model("mwaa")
    calls = {name: model.operation_model(name).http for name in model.operation_names}
    return {name: (http["method"], http["requestUri"]) for name, http in calls.items()}


def refused_by_mwaa() -> list[Call]:
    """The operations of MWAA that are an UnknownOperationException here."""
    return [call for call in mwaa_operations().values() if call not in mwaa.CALLS]


def _keys(body: Iterable[ast.AST], name: str) -> list[str]:
    """The keys of the table that is assigned to a name."""
    table = _assigned(body, name)
    assert isinstance(table, ast.Dict)
    return [ast.literal_eval(key) for key in table.keys if key]


# Modules that import PySpark or IPython, which this environment does not have, are read as syntax trees.


@functools.cache
def module(path: str | Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"))


def _assigned(body: Iterable[ast.AST], name: str) -> ast.expr:
    """The value assigned to a name of a module, or to an attribute of `self` anywhere below."""
    for node in (below for statement in body for below in ast.walk(statement)):
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        for target in targets:
            if name in (getattr(target, "id", None), getattr(target, "attr", None)):
                assert isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
                return node.value
    raise LookupError(f"nothing is assigned to {name}")


def matches(route: Call, call: Call) -> bool:
    """Whether a request is for a route: same method, same words in the path; `{…}` matches any word.

    A `{}` at the beginning may stand for an address and more words: then the route must end like the rest.
    """
    ours, theirs = _split(route[1]), _split(call[1])
    if theirs[0] == "{}":
        theirs = theirs[1:]
        ours = ours[-len(theirs) :] if theirs else []
        if not ours or ours[0] == "{}":
            return False
    return (
        route[0] == call[0]
        and len(ours) == len(theirs)
        and all(our in ("{}", their) for our, their in zip(ours, theirs, strict=True))
    )


@functools.cache
def _split(path: str) -> list[str]:
    """The words of a path: `{service.url}/api/{version}/jobs?x=1` → `{}`, `api`, `{}`, `jobs`."""
    return re.sub(r"(\{[^}]*\})+", "{}", path.partition("?")[0]).strip("/").split("/")
