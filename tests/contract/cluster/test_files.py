"""Files of dbfs:/, of mounts and of S3, as dbutils.fs and the DBFS API use them."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from services.spark import native
from tests.contract.cluster.conftest import World


@pytest.fixture(scope="module", autouse=True)
def mounted(world: World) -> None:
    world.control("/mounts/mount", source=f"s3a://{world.bucket}/files", mount_point="/mnt/files").raise_for_status()


@pytest.fixture(params=["dbfs:/tmp/{}", "/mnt/files/{}", "s3a://{bucket}/direct/{}"], ids=["dbfs", "mount", "s3a"])
def directory(world: World, request: pytest.FixtureRequest) -> str:
    """A directory of the test's own, in each of the places that there are."""
    name = request.node.originalname
    return str(request.param).replace("{bucket}", world.bucket).format(name)


def ask(world: World, call: str, **values: Any) -> Any:
    answer = world.control(f"/fs/{call}", **values)
    assert answer.ok, answer.text
    return answer.json()


def failure(world: World, call: str, **values: Any) -> tuple[int, str, str]:
    answer = world.control(f"/fs/{call}", **values)
    return answer.status_code, answer.json()["error_code"], answer.json()["message"]


def names(world: World, path: str) -> list[str]:
    return [entry["name"] for entry in ask(world, "ls", path=path)]


def test_what_is_written_is_listed_and_read(world: World, directory: str) -> None:
    ask(world, "put", path=f"{directory}/sub/a b%20ü.txt", contents="héllo", overwrite=False)
    ask(world, "mkdirs", path=f"{directory}/empty/deep")
    shown = directory if ":" in directory else f"dbfs:{directory}"
    entries = ask(world, "ls", path=directory)
    assert [(e["path"], e["name"], e["size"], e["isDir"]) for e in entries] == [
        (f"{shown}/empty/", "empty/", 0, True),
        (f"{shown}/sub/", "sub/", 0, True),
    ]
    (file,) = ask(world, "ls", path=f"{directory}/sub/")
    assert (file["path"], file["size"], file["isDir"]) == (f"{shown}/sub/a b%20ü.txt", 6, False)
    assert file["modificationTime"] > 1_700_000_000_000, "milliseconds"
    assert ask(world, "ls", path=file["path"]) == [file] and ask(world, "status", path=file["path"]) == file
    assert ask(world, "head", path=file["path"], max_bytes=2) == {"text": "h", "truncated": True}
    read = ask(world, "read", path=file["path"], offset=3, length=100)
    assert base64.b64decode(read["data"]) == b"llo" and read["bytes_read"] == 3


def test_put_replaces_a_file_only_if_told_so(world: World, directory: str) -> None:
    path = f"{directory}/file"
    ask(world, "put", path=path, contents="long before")
    status, code, message = failure(world, "put", path=path, contents="x")
    assert (status, code) == (409, "RESOURCE_ALREADY_EXISTS")
    assert message.startswith("org.apache.hadoop.fs.FileAlreadyExistsException: ")
    ask(world, "put", path=path, contents="new", overwrite=True)
    assert ask(world, "head", path=path)["text"] == "new"


def test_cp_of_a_tree_and_of_a_file(world: World, directory: str) -> None:
    ask(world, "put", path=f"{directory}/from/a", contents="1")
    ask(world, "put", path=f"{directory}/from/deep/b", contents="22")
    assert "recurse" in failure(world, "cp", **{"from": f"{directory}/from", "to": f"{directory}/to"})[2]
    ask(world, "cp", **{"from": f"{directory}/from", "to": f"{directory}/to", "recurse": True})
    ask(world, "cp", **{"from": f"{directory}/from/a", "to": f"{directory}/to/deep"})
    assert names(world, f"{directory}/to") == ["a", "deep/"]
    assert names(world, f"{directory}/to/deep") == ["a", "b"]
    assert names(world, f"{directory}/from") == ["a", "deep/"]


def test_mv_of_a_tree_and_of_a_file(world: World, directory: str) -> None:
    ask(world, "put", path=f"{directory}/from/a", contents="1")
    ask(world, "put", path=f"{directory}/file", contents="22")
    ask(world, "mv", **{"from": f"{directory}/from", "to": f"{directory}/to", "recurse": True})
    ask(world, "mv", **{"from": f"{directory}/file", "to": f"{directory}/to"})
    assert names(world, directory) == ["to/"] and names(world, f"{directory}/to") == ["a", "file"]


def test_mv_between_disk_mount_and_bucket(world: World) -> None:
    ask(world, "put", path="/tmp/across/a", contents="moved")
    ask(world, "mv", **{"from": "/tmp/across", "to": "/mnt/files/across", "recurse": True})
    ask(world, "mv", **{"from": "dbfs:/mnt/files/across", "to": f"s3n://{world.bucket}/elsewhere", "recurse": True})
    assert world.objects("elsewhere/a") == {"elsewhere/a": b"moved"} and not world.objects("files/across")
    assert failure(world, "ls", path="/tmp/across")[0] == 404


def test_rm_needs_to_be_told_that_it_is_a_tree(world: World, directory: str) -> None:
    ask(world, "put", path=f"{directory}/a/b", contents="1")
    status, _, message = failure(world, "rm", path=f"{directory}/a", recurse=False)
    assert status == 400 and "is not empty" in message
    assert ask(world, "rm", path=f"{directory}/a", recurse=True) == {"removed": True}
    assert ask(world, "rm", path=f"{directory}/a", recurse=True) == {"removed": False}


def test_what_is_not_there_is_javas_exception(world: World, directory: str) -> None:
    for call in ("ls", "status", "head", "read"):
        status, code, message = failure(world, call, path=f"{directory}/nothing")
        assert (status, code) == (404, "RESOURCE_DOES_NOT_EXIST")
        path = f"{directory}/nothing".removeprefix("dbfs:")
        assert message == f"java.io.FileNotFoundException: No such file or directory: {path}"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("relative", "java.lang.IllegalArgumentException: Path must be absolute: relative"),
        ("", "java.lang.IllegalArgumentException: Can not create a Path from an empty string"),
        ("abfss://c@a/x", 'org.apache.hadoop.fs.UnsupportedFileSystemException: No FileSystem for scheme "abfss"'),
        ("s3a://key:secret@bucket/x", "java.lang.IllegalArgumentException: Not of the form s3a://bucket/path"),
    ],
)
def test_a_path_that_is_none(world: World, path: str, message: str) -> None:
    status, code, said = failure(world, "ls", path=path)
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE") or "Unsupported" in said
    assert said.startswith(message) and "secret" not in said


def test_nothing_is_reached_above_the_root(world: World) -> None:
    assert names(world, "dbfs:/../../..") == names(world, "/") == ["FileStore/", "mnt/", "tmp/", "user/"]


def test_a_mount_point_is_not_removed_or_moved_with_what_is_in_it(world: World) -> None:
    for values in ({"path": "/mnt/files", "recurse": True}, {"path": "/mnt", "recurse": True}, {"path": "/"}):
        assert failure(world, "rm", **values)[0] == 400
    assert failure(world, "mv", **{"from": "/mnt/files", "to": "/tmp/x", "recurse": True})[0] == 400


def test_files_of_dbfs_are_files_of_this_machine(world: World) -> None:
    """So a person can put files there, and see what notebooks wrote."""
    disk = native.home(world.profile) / "dbfs"
    (disk / "FileStore" / "put-there.txt").write_text("by hand")
    assert ask(world, "head", path="/FileStore/put-there.txt")["text"] == "by hand"
    ask(world, "put", path="/FileStore/from-notebook.txt", contents="x")
    assert (disk / "FileStore" / "from-notebook.txt").read_text() == "x"


def test_an_upload_streams_its_body(world: World) -> None:
    content = bytes(range(256)) * 20_000
    headers = {"Authorization": f"Bearer {world.control.token}"}
    where = {"path": "/mnt/files/big.bin", "overwrite": "true"}
    answer = requests.post(f"{world.control.url}/fs/upload", params=where, data=content, headers=headers, timeout=60)
    assert answer.json() == {"bytes_written": len(content)}
    assert world.objects("files/big.bin")["files/big.bin"] == content


def test_a_refused_upload_says_why(world: World) -> None:
    headers, where = {"Authorization": f"Bearer {world.control.token}"}, {"path": "/mnt/files"}
    content = b"x" * 3_000_000
    answer = requests.post(f"{world.control.url}/fs/upload", params=where, data=content, headers=headers, timeout=60)
    assert (answer.status_code, answer.json()["error_code"]) == (409, "RESOURCE_ALREADY_EXISTS")


def test_python_files_of_dbfs(world: World) -> None:
    ended = world.bench.cells(
        "import os, pandas as pd\n"
        "pd.DataFrame({'a': [1, 2]}).to_csv('/dbfs/mnt/files/p.csv', index=False)\n"
        "with open('/dbfs/FileStore/big.bin', 'wb') as f:\n    f.write(b'x' * 3_500_000)\n"
        "print(spark.read.csv('/mnt/files/p.csv', header=True).count(), pd.read_csv('/dbfs/mnt/files/p.csv').shape)\n"
        "print(os.path.getsize('/dbfs/FileStore/big.bin'), 'p.csv' in os.listdir('/dbfs/mnt/files'))"
    ).ok()
    assert ended.printed() == "2 (2, 1)\n3500000 True\n"


@pytest.fixture
def mine(tmp_path: Path) -> Iterator[Path]:
    """A person's own directory: neither temporary nor the stack's. `link` in tmp_path leads to it."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="pinflow-test-") as name:
        (Path(name) / "thesis.txt").write_text("years of work")
        (tmp_path / "link").symlink_to(name)
        (tmp_path / "new.txt").write_text("new")
        yield Path(name)


@pytest.mark.parametrize("through", ["directly", "link", "dots"])
@pytest.mark.parametrize(
    ("call", "values"),
    [
        ("rm", {"path": "file:{mine}", "recurse": True}),
        ("rm", {"path": "file:{mine}/thesis.txt"}),
        ("put", {"path": "file:{mine}/thesis.txt", "contents": "x", "overwrite": True}),
        ("write", {"path": "file:{mine}/new.txt", "data": "eA=="}),
        ("mkdirs", {"path": "file://{mine}/new"}),
        ("cp", {"from": "file:{tmp}/new.txt", "to": "file:{mine}/thesis.txt"}),
        ("cp", {"from": "file:{tmp}/new.txt", "to": "file:{mine}"}),
        ("mv", {"from": "file:{tmp}/new.txt", "to": "file:{mine}/thesis.txt"}),
        ("mv", {"from": "file:{mine}/thesis.txt", "to": "dbfs:/tmp/mine"}),
        ("mv", {"from": "file:///{mine}", "to": "file:{tmp}/gone", "recurse": True}),
    ],
)
def test_a_persons_own_files_stay(
    world: World, mine: Path, tmp_path: Path, call: str, values: dict[str, Any], through: str
) -> None:
    path = {"directly": mine, "link": tmp_path / "link", "dots": f"{tmp_path}/../..{'/..' * 9}{mine}"}[through]
    if through == "link" and values.get("path", values.get("from")) in ("file:{mine}", "file:///{mine}"):
        pytest.skip("only the link itself would be removed")
    given = {k: v.format(mine=path, tmp=tmp_path) if isinstance(v, str) else v for k, v in values.items()}
    status, code, message = failure(world, call, **given)
    assert (status, code) == (403, "PERMISSION_DENIED")
    assert "throw-away node" in message and "/tmp" in message and "local_files: all" in message
    assert [(file.name, file.read_text()) for file in mine.iterdir()] == [("thesis.txt", "years of work")]


def test_a_persons_own_files_can_be_read_and_copied(world: World, mine: Path) -> None:
    assert ask(world, "head", path=f"file:{mine}/thesis.txt")["text"] == "years of work"
    ask(world, "cp", **{"from": f"file:{mine}", "to": "/tmp/copied", "recurse": True})
    assert names(world, "/tmp/copied") == ["thesis.txt"]


def test_temporary_files_are_a_nodes_disk(world: World, mine: Path, tmp_path: Path) -> None:
    ended = world.bench.cells(
        f"open('{tmp_path}/a.csv', 'w').write('x\\n1\\n')\n"
        f"print(spark.read.csv('file:{tmp_path}/a.csv', header=True).count())\n"
        f"dbutils.fs.mv('file:{tmp_path}/a.csv', 'dbfs:/tmp/local/a.csv')\n"
        f"dbutils.fs.cp('dbfs:/tmp/local/a.csv', 'file:{tmp_path}/deep/b.csv')\n"
        f"print(open('{tmp_path}/deep/b.csv').read(), dbutils.fs.rm('file:{tmp_path}/link', True))"
    ).ok()
    assert ended.printed() == "1\nx\n1\n True\n"
    assert not (tmp_path / "a.csv").exists() and not (tmp_path / "link").is_symlink()
    assert (mine / "thesis.txt").exists()


def test_a_drivers_directory_is_the_one_that_the_run_started_in(world: World) -> None:
    ended = world.bench.cells(
        "open('beside.csv', 'w').write('x\\n1\\n')\n"
        "print(open('/databricks/driver/beside.csv').read() == open('/Workspace/Users/me/beside.csv').read())\n"
        "print(spark.read.csv('file:/databricks/driver/beside.csv', header=True).count())\n"
        "dbutils.fs.mv('file:/databricks/driver/beside.csv', 'dbfs:/tmp/beside.csv')\n"
        "print(dbutils.fs.head('file:/dbfs/tmp/beside.csv'))\n"
        "dbutils.fs.cp('dbfs:/tmp/beside.csv', 'file:/Workspace/Users/me/back.csv')\n"
        "import os\nprint(os.listdir('.').count('beside.csv'), os.path.exists('back.csv'))"
    ).ok()
    assert ended.printed() == "True\n1\nx\n1\n\n0 True\n"


@pytest.mark.parametrize(
    ("call", "values", "status", "code"),
    [
        ("/fs/ls", {}, 400, "INVALID_PARAMETER_VALUE"),
        ("/fs/ls", {"path": 3}, 400, "INVALID_PARAMETER_VALUE"),
        ("/fs/read", {"path": "/tmp", "offset": -1}, 400, "INVALID_PARAMETER_VALUE"),
        ("/fs/write", {"path": "/tmp/x", "data": "no base64!"}, 400, "INVALID_PARAMETER_VALUE"),
        ("/fs/_place", {}, 404, "ENDPOINT_NOT_FOUND"),
        ("/call", {}, 404, "ENDPOINT_NOT_FOUND"),
    ],
)
def test_a_request_that_is_wrong(world: World, call: str, values: dict[str, Any], status: int, code: str) -> None:
    answer = world.control(call, **values)
    assert (answer.status_code, answer.json()["error_code"]) == (status, code)


def test_nobody_is_answered_without_the_token(world: World) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        answer = requests.post(f"{world.control.url}/fs/ls", json={"path": "/"}, headers=headers, timeout=10)
        assert (answer.status_code, answer.json()["error_code"]) == (401, "UNAUTHENTICATED")


def test_a_file_is_not_moved_or_copied_onto_itself_by_another_of_its_names(world: World) -> None:
    ask(world, "put", path="/mnt/files/alias/here/a.txt", contents="all", overwrite=False)
    other = f"s3a://{world.bucket}/files/alias/here/a.txt"
    for call in ("cp", "mv"):
        status, _, message = failure(world, call, **{"from": "/mnt/files/alias/here/a.txt", "to": other})
        assert (status, "cannot be copied to itself" in message) == (400, True)
        below = f"s3n://{world.bucket}/files/alias/here/below"
        status, _, message = failure(world, call, **{"from": "/mnt/files/alias", "to": below, "recurse": True})
        assert (status, "would be copied into itself" in message) == (400, True)
    assert ask(world, "head", path=other, max_bytes=9)["text"] == "all"


def test_a_directory_is_not_copied_into_a_mount_that_it_shows(world: World) -> None:
    ask(world, "put", path="/mnt/files/shown/a.txt", contents="a", overwrite=False)
    status, _, message = failure(world, "cp", **{"from": "/mnt", "to": "/mnt/files/backup", "recurse": True})
    assert (status, "would be copied into itself" in message) == (400, True)
    assert "backup/" not in names(world, "/mnt/files")
