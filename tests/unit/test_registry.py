"""The registry of tables and questions, and the files that run without it and so repeat its tables' names."""

from __future__ import annotations

import ast
import re

import yaml

from foundation.profile import ROOT
from foundation.registry import QUESTIONS, TABLES
from services.mysql.seed import rows


def test_the_template_has_a_stream_for_each_table() -> None:
    template = (ROOT / "localstack" / "template.yaml").read_text(encoding="utf-8")
    streams = re.findall(r"^      Name: !Sub (streaming-.*)$", template, re.MULTILINE)
    assert streams == [table.stream("${UserId}") for table in TABLES.values()]
    assert re.findall(r"^    Value: !Sub (streaming-.*)$", template, re.MULTILINE) == streams


def test_the_template_has_a_topic_for_each_table() -> None:
    template = (ROOT / "localstack" / "template.yaml").read_text(encoding="utf-8")
    topics = re.findall(r"^      TopicName: !Sub (.*)$", template, re.MULTILINE)
    assert topics == [table.topic("${UserId}") for table in TABLES.values()]


def test_the_dag_loads_each_table() -> None:
    dag = ast.parse((ROOT / "airflow" / "dags" / "pinterest_dag.py").read_text(encoding="utf-8"))
    (tables,) = (
        ast.literal_eval(node.value)
        for node in dag.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "TABLES"
    )
    assert tables == tuple(TABLES)


def test_the_bundle_loads_each_table() -> None:
    bundle = yaml.safe_load((ROOT / "databricks.yml").read_text(encoding="utf-8"))
    *loads, questions = bundle["resources"]["jobs"]["batch"]["tasks"]
    assert [task["notebook_task"]["base_parameters"]["table"] for task in loads] == list(TABLES)
    assert [task["task_key"] for task in loads] == [f"load_{name}" for name in TABLES]
    assert [after["task_key"] for after in questions["depends_on"]] == [f"load_{name}" for name in TABLES]


def test_the_seed_has_rows_for_each_table() -> None:
    found = rows()
    assert list(found) == list(TABLES)
    for name, table in TABLES.items():
        assert {len(row) for row in found[name]} == {len(table.columns)}, name


def test_each_question_has_a_function() -> None:
    source = (ROOT / "spark" / "pinterest" / "questions.py").read_text(encoding="utf-8")
    functions = {node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}
    assert {question.function for question in QUESTIONS.values()} <= functions
