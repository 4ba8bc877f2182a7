"""dbutils."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.notebook.bench import Bench
from tests.contract.workspace.conftest import TOKEN, Service


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A workspace whose API the notebooks ask for secrets; it has a scope of its profile, `keys`."""
    made = Service(tmp_path_factory.mktemp("workspace") / "home")
    made.start()
    yield made
    made.stop()


def test_files(bench: Bench) -> None:
    ended = bench.cells(
        "dbutils.fs.mkdirs('/d')\n"
        "dbutils.fs.put('dbfs:/d/a.txt', 'hello', overwrite=True)\n"
        "dbutils.fs.cp('/d/a.txt', '/d/b.txt')\n"
        "dbutils.fs.mv('/d/b.txt', '/d/c.txt', recurse=True)\n"
        "print(dbutils.fs.head('/d/a.txt', 3))\n"
        "print([(f.path, f.name, f.size, f.isDir()) for f in dbutils.fs.ls('/d')])\n"
        "print(dbutils.fs.rm('/d', True), dbutils.fs.rm('/d', True))"
    ).ok()
    assert ended.printed().splitlines() == [
        "Wrote 5 bytes.",
        "[Truncated to first 3 bytes]",
        "hel",
        "[('dbfs:/d/a.txt', 'a.txt', 5, False), ('dbfs:/d/c.txt', 'c.txt', 5, False)]",
        "True False",
    ]


def test_a_file_that_is_not_there_is_an_execution_error(bench: Bench) -> None:
    ended = bench.cells(
        "from py4j.protocol import Py4JJavaError\n"
        "try:\n    dbutils.fs.ls('/nowhere')\n"
        "except Py4JJavaError as error:\n"
        "    java = error.java_exception.getClass().getName()\n"
        "    print(type(error).__name__, 'java.io.FileNotFoundException' in str(error), java)",
        "dbutils.fs.ls('/nowhere')",
    )
    assert ended.printed(1) == "ExecutionError True java.io.FileNotFoundException\n"
    assert ended.error.startswith("ExecutionError: An error occurred while calling o")
    assert "java.io.FileNotFoundException: No such file or directory: /nowhere" in ended.error


def test_mounts(bench: Bench) -> None:
    mount = "dbutils.fs.mount(source='s3n://AK:S%2FK@bucket', mount_point='/mnt/m', extra_configs={'a': 'b'})"
    ended = bench.cells(
        f"{mount}\nprint([m.mountPoint for m in dbutils.fs.mounts()])",
        f"try:\n    {mount}\nexcept Exception as error:\n    print('Directory already mounted: /mnt/m' in str(error))",
        "dbutils.fs.refreshMounts()\ndbutils.fs.unmount('/mnt/m')\ndbutils.fs.unmount('/mnt/m')",
    )
    assert ended.printed(1) == "['/mnt/m']\n" and ended.printed(2) == "True\n"
    assert ended.printed(3) == "Mounts successfully refreshed.\n/mnt/m has been unmounted.\n"
    assert "java.lang.IllegalArgumentException: requirement failed: Directory not mounted: /mnt/m" in ended.error


def test_widgets_take_parameters_before_defaults(bench: Bench) -> None:
    ended = bench.cells(
        "dbutils.widgets.text('a', 'default', 'A')\n"
        "dbutils.widgets.dropdown('b', 'x', ['x', 'y'])\n"
        "dbutils.widgets.combobox(name='c', defaultValue='free', choices=['x'])\n"
        "dbutils.widgets.multiselect('d', 'x,y', ['x', 'y', 'z'])\n"
        "print([dbutils.widgets.get(n) for n in 'abcd'], getArgument('only_given'), getArgument('e', 'none'))\n"
        "print(sorted(dbutils.widgets.getAll()))\n"
        "dbutils.widgets.remove('a')",
        "dbutils.widgets.get('a')",
        parameters={"a": "given", "only_given": "1"},
    )
    assert ended.printed(1) == "['given', 'x', 'free', 'x,y'] 1 none\n['a', 'b', 'c', 'd', 'only_given']\n"
    assert "com.databricks.dbutils_v1.InputWidgetNotDefined: No input widget named a is defined" in ended.error


def test_exit_ends_with_success_even_inside_except_exception(bench: Bench) -> None:
    ended = bench.cells(
        "try:\n    dbutils.notebook.exit('done')\nexcept Exception:\n    print('swallowed')", "print('never')"
    ).ok()
    assert ended.value == "done" and ended.printed() == ""
    assert ended.of("cell_end", 1)[0]["status"] == "exit"


def test_exit_below_run_ends_the_notebook(bench: Bench) -> None:
    bench.notebook("/Users/me/leaves", "dbutils.notebook.exit(7)")
    ended = bench.cells("# MAGIC %run ./leaves", "print('never')").ok()
    assert ended.value == "7" and ended.printed() == ""


def test_run_gives_the_value_of_another_notebook(bench: Bench) -> None:
    bench.notebook(
        "/Users/me/kids/child",
        "spark.range(9).createOrReplaceTempView('kid')",
        "dbutils.notebook.exit(dbutils.widgets.get('x') + '!')",
    )
    bench.notebook("/Users/me/kids/silent", "x = 1")
    ended = bench.cells(
        "print(dbutils.notebook.run('./kids/child', 60, {'x': 'hello'}))\n"
        "print(dbutils.notebook.run(path='/Users/me/kids/silent', timeout_seconds=0))\n"
        "print(spark.catalog.tableExists('kid'))"
    ).ok()
    assert ended.printed() == "hello!\nNone\nFalse\n"
    assert [e["output"] for e in ended.of("child_run")] == ["child-1", "child-2"]
    assert (ended.output / "child-1" / "events.jsonl").is_file()


def test_run_raises_what_went_wrong(bench: Bench) -> None:
    bench.notebook("/Users/me/kids/fails", "raise ValueError('in the child')")
    bench.notebook("/Users/me/kids/sleeps", "import time\ntime.sleep(60)")
    ended = bench.cells(
        "for path, timeout in (('kids/fails', 60), ('kids/sleeps', 8), ('kids/none', 60)):\n"
        "    try:\n        dbutils.notebook.run(path, timeout)\n"
        "    except Exception as error:\n        print(str(error).split(chr(10))[1])"
    ).ok()
    failed, timed_out, missing = ended.printed().splitlines()
    words = "com.databricks.WorkflowException: com.databricks.NotebookExecutionException: "
    assert words + "FAILED: ValueError: in the child" in failed
    assert words + "TIMEDOUT" in timed_out
    assert words + 'FAILED: NotebookNotFound: Unable to access the notebook "/Users/me/kids/none"' in missing


def test_secrets_are_redacted_wherever_they_are_shown(bench: Bench, workspace: Service) -> None:
    ended = bench.cells(
        "key = dbutils.secrets.get(scope='aws', key='key')\n"
        "print(key, len(key))\nprint(key[:5], end='')\nprint(key[5:])\ndisplay([{'k': key}])\n"
        "print(dbutils.secrets.getBytes('aws', 'key') == key.encode(), dbutils.secrets.list('aws'))\n"
        "print([s.name for s in dbutils.secrets.listScopes()])",
        "raise ValueError(key)",
        api_url=workspace.url,
        api_token=TOKEN,
    )
    assert ended.printed(1).startswith("[REDACTED] 12\n[REDACTED]\n")
    assert "True [SecretMetadata(key='key')]" in ended.printed(1)
    assert ended.error == "ValueError: [REDACTED]"
    assert "s3cr3t-value" not in (ended.output / "events.jsonl").read_text()


def test_a_secret_that_is_not_there(bench: Bench) -> None:
    ended = bench.cells("dbutils.secrets.get('aws', 'other')")
    assert "Secret does not exist with scope: aws and key: other" in ended.error


def test_a_secret_that_the_api_made_during_the_run_is_there_at_once(bench: Bench, workspace: Service) -> None:
    ended = bench.cells(
        "import json, urllib.request\n"
        "def post(call, **body):\n"
        "    context = dbutils.notebook.entry_point.getDbutils().notebook().getContext()\n"
        "    headers = {'Authorization': 'Bearer ' + context.apiToken().get(), 'Content-Type': 'application/json'}\n"
        "    url = context.apiUrl().get() + '/api/2.0/secrets/' + call\n"
        "    urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers)).read()\n"
        "post('scopes/create', scope='project')\n"
        "post('put', scope='project', key='password', string_value='canary-of-the-api')",
        "print([s.name for s in dbutils.secrets.listScopes()], dbutils.secrets.list('project'))\n"
        "print(dbutils.secrets.get('project', 'password'), len(dbutils.secrets.getBytes('project', 'password')))",
        "post('put', scope='project', key='password', string_value='changed')\n"
        "print(len(dbutils.secrets.get('project', 'password')))",
        "dbutils.secrets.get('project', 'other')",
        api_url=workspace.url,
        api_token=TOKEN,
    )
    assert ended.printed(2) == ("['aws', 'keys', 'project'] [SecretMetadata(key='password')]\n[REDACTED] 17\n")
    assert ended.printed(3) == "7\n"
    assert "Secret does not exist with scope: project and key: other" in ended.error
    shown = (ended.output / "events.jsonl").read_text().replace("string_value='canary-of-the-api'", "")
    assert "canary-of-the-api" not in shown


def test_the_notebook_context(bench: Bench) -> None:
    ended = bench.cells(
        "import json\n"
        "c = dbutils.notebook.entry_point.getDbutils().notebook().getContext()\n"
        "print(c.notebookPath().get(), c.apiUrl().get(), c.userName().getOrElse('x'), c.currentRunId().get().id(),\n"
        "      c.tags().get('clusterId').get(), json.loads(c.toJson())['extraContext']['notebook_path'])\n"
        "print(c.apiToken().get())",
    ).ok()
    path = f"/Users/me/nb{ended.output.name.removeprefix('run-')}"
    number = path.removeprefix("/Users/me/nb")
    assert ended.printed(1).splitlines() == [
        f"{path} http://127.0.0.1:8180 local@pinflow {number} 0000-000000-pinflow0 {path}",
        "workspace-token",
    ]


def test_task_values(bench: Bench) -> None:
    ended = bench.cells(
        "dbutils.jobs.taskValues.set(key='n', value=3)\n"
        "print(dbutils.jobs.taskValues.get('before', 'rows'), dbutils.jobs.taskValues.get('x', 'y', debugValue=9))",
        task_values={"before": {"rows": 11154}},
    ).ok()
    assert ended.printed() == "11154 9\n"
    assert [(e["key"], e["value"]) for e in ended.of("task_value")] == [("n", 3)]


def test_help_and_the_rest_do_no_harm(bench: Bench) -> None:
    ended = bench.cells(
        "dbutils.help()\ndbutils.fs.help()\ndbutils.fs.help('ls')\ndbutils.library.restartPython()\n"
        "dbutils.data.summarize(spark.range(3))"
    ).ok()
    assert "dbutils.fs.mount(" in ended.printed()


def test_python_reads_and_writes_dbfs_and_workspace_paths(bench: Bench) -> None:
    bench.file("/Users/me/data/words.txt", "from the workspace")
    ended = bench.cells(
        "import os, glob, json, shutil\nimport pandas as pd\nfrom pathlib import Path\n"
        "os.makedirs('/dbfs/files/deep', exist_ok=True)\n"
        "with open('/dbfs/files/deep/a.csv', 'w') as file:\n    file.write('x,y\\n1,2\\n')\n"
        "with open('/dbfs/files/deep/a.csv', 'a') as file:\n    file.write('3,4\\n')\n"
        "print(pd.read_csv('/dbfs/files/deep/a.csv').sum().to_dict(), os.path.exists('/dbfs/files/none'))\n"
        "pd.DataFrame({'z': [5]}).to_csv('/dbfs/files/z.csv', index=False)\n"
        "print(os.listdir('/dbfs/files'), glob.glob('/dbfs/files/*.csv'), os.path.getsize('/dbfs/files/z.csv'))\n"
        "print(Path('/dbfs/files/z.csv').read_text().split(), os.path.isdir('/dbfs/files'))\n"
        "shutil.copy('/dbfs/files/z.csv', '/dbfs/files/copy.csv'); os.remove('/dbfs/files/z.csv')\n"
        "print(sorted(os.listdir('/dbfs/files')))\n"
        "print(open('/Workspace/Users/me/data/words.txt').read(), open('data/words.txt').read())\n"
        "open('/dbfs/files/none')",
    )
    assert ended.printed().splitlines() == [
        "{'x': 4, 'y': 6} False",
        "['deep', 'z.csv'] ['/dbfs/files/z.csv'] 4",
        "['z', '5'] True",
        "['copy.csv', 'deep']",
        "from the workspace from the workspace",
    ]
    assert ended.error == "FileNotFoundError: [Errno 2] No such file or directory: '/dbfs/files/none'"
