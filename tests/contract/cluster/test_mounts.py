"""S3 below dbfs:/, mounted while everything runs."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from urllib.parse import quote

import psutil
import pytest

from services.spark import native
from tests.contract.cluster.conftest import ACCESS_KEY, SECRET_KEY, World

ENCODED = quote(SECRET_KEY, safe="")


@pytest.fixture(autouse=True)
def posts(world: World) -> Iterator[None]:
    """Three objects of a topic in the bucket before each test, no mount after it."""
    for number in range(3):
        world.put(f"topics/u.pin/partition=0/u.pin+0+{number:010d}.json", f'{{"index": {number}, "title": "t"}}\n')
    yield
    for mount in world.control("/mounts/list").json():
        if mount["source"] != "DatabricksRoot":
            world.control("/mounts/unmount", mount_point=mount["mountPoint"])


def mount(world: World, point: str, source: str | None = None, **extra: str) -> str:
    """Mount as dbutils does; the error's text, or nothing."""
    source = source or f"s3a://{world.bucket}"
    answer = world.control("/mounts/mount", source=source, mount_point=point, extra_configs=extra)
    return "" if answer.ok else str(answer.json()["message"])


def test_the_course_notebooks_way_to_a_bucket(world: World) -> None:
    ended = world.bench.cells(
        "from pyspark.sql.functions import *\nimport urllib\n"
        "keys = spark.read.format('csv').option('header', 'true').option('sep', ',')"
        ".load('/FileStore/tables/authentication_credentials.csv')\n"
        "ACCESS_KEY = keys.where(col('User name')=='databricks-user').select('Access key ID').collect()[0]"
        "['Access key ID']\n"
        "SECRET_KEY = keys.where(col('User name')=='databricks-user').select('Secret access key').collect()[0]"
        "['Secret access key']\n"
        "ENCODED_SECRET_KEY = urllib.parse.quote(string=SECRET_KEY, safe='')\n"
        f"SOURCE_URL = 's3n://{{0}}:{{1}}@{{2}}'.format(ACCESS_KEY, ENCODED_SECRET_KEY, {world.bucket!r})\n"
        "dbutils.fs.mount(SOURCE_URL, '/mnt/course')",
        "display(dbutils.fs.ls('/mnt/course/../..'))",
        "df = spark.read.format('json').option('inferSchema', 'true')"
        ".load('/mnt/course/topics/u.pin/partition=0/*.json')\n"
        "print(df.count(), df.columns)",
    ).ok()
    assert [row[1] for row in ended.shown(2)[0]["rows"]] == ["FileStore/", "mnt/", "tmp/", "user/"]
    assert ended.printed(3) == "3 ['index', 'title']\n"


def test_every_form_of_source_is_the_same_bucket(world: World) -> None:
    keys = {"fs.s3a.access.key": ACCESS_KEY, "fs.s3a.secret.key": SECRET_KEY}
    assert not mount(world, "/mnt/one", f"s3n://{ACCESS_KEY}:{ENCODED}@{world.bucket}")
    assert not mount(world, "/mnt/two", f"s3a://{ACCESS_KEY}:{ENCODED}@{world.bucket}/")
    assert not mount(world, "/mnt/three", f"s3a://{world.bucket}/topics", **keys)
    ended = world.bench.cells(
        "for path in ('/mnt/one/topics', 'dbfs:/mnt/two/topics', '/mnt/three'):\n"
        "    print(spark.read.json(path + '/u.pin/partition=*/*.json').count(), len(dbutils.fs.ls(path + '/u.pin')))\n"
        f"for scheme in ('s3', 's3a', 's3n'):\n"
        f"    url = scheme + '://{world.bucket}/topics/u.pin/partition=0'\n"
        "    print(spark.read.json(url + '/*.json').count(), dbutils.fs.ls(url)[0].path.startswith(url))\n"
        f"url = 's3n://{ACCESS_KEY}:{ENCODED}@{world.bucket}/topics/u.pin/partition=0'\n"
        "print(spark.read.json(url).count(), spark.read.option('x', 'y').load(url + '/*.json', 'json').count())"
    ).ok()
    assert ended.printed() == "3 1\n" * 3 + "3 True\n" * 3 + "3 3\n"


def test_a_point_that_is_taken_is_databricks_error(world: World) -> None:
    assert not mount(world, "/mnt/taken")
    cause = "java.lang.IllegalArgumentException: requirement failed: Directory already mounted: /mnt/taken"
    assert mount(world, "/mnt/taken") == f"java.rmi.RemoteException: {cause}; nested exception is: \n\t{cause}"
    assert mount(world, "dbfs:/mnt/taken/") == mount(world, "/mnt/taken")


@pytest.mark.parametrize(
    ("point", "source", "reason"),
    [
        (
            "/mnt/none",
            "s3a://there-is-no-such-bucket",
            "FileNotFoundException: Bucket there-is-no-such-bucket does not",
        ),
        ("/mnt/gs", "gs://bucket", 'UnsupportedFileSystemException: No FileSystem for scheme "gs"'),
        ("/mnt/text", "bucket", "the source is not of the form s3a://bucket/path"),
        ("relative", None, "the mount point must be an absolute path: relative"),
        ("/FileStore", None, "Cannot mount at /FileStore"),
        ("/mnt/a/b", None, "Nested mounts are not supported"),
    ],
)
def test_what_cannot_be_mounted_leaves_nothing_behind(
    world: World, point: str, source: str | None, reason: str
) -> None:
    assert not mount(world, "/mnt/a")
    assert reason in mount(world, point, source)
    assert [m["mountPoint"] for m in world.control("/mounts/list").json()] == ["/mnt/a", "/"]


def test_a_run_that_goes_on_sees_what_another_mounts_and_unmounts(world: World) -> None:
    notebook = world.bench.notebook(
        "/Users/me/waits",
        "import time\n"
        "def wait(mounted):\n"
        "    while any(m.mountPoint == '/mnt/later' for m in dbutils.fs.mounts()) != mounted:\n"
        "        time.sleep(0.1)\n"
        "def read():\n"
        "    return spark.read.text('/mnt/later/topics/u.pin/partition=0/*.json').count()\n"
        "print('waits')\nwait(True)\nprint('read', read())\nwait(False)\nread()",
    )
    waiting = world.bench.start(notebook).until("waits")
    assert not mount(world, "/mnt/later")
    waiting.until("read 3")
    assert world.control("/mounts/unmount", mount_point="/mnt/later").ok
    assert "[PATH_NOT_FOUND]" in waiting.wait().error


def test_an_empty_mount_can_be_listed(world: World) -> None:
    assert not mount(world, "/mnt/empty", f"s3a://{world.bucket}/nothing/here/yet")
    assert world.control("/fs/ls", path="/mnt/empty").json() == []


def test_what_is_not_mounted_cannot_be_unmounted(world: World) -> None:
    answer = world.control("/mounts/unmount", mount_point="/mnt/nothing")
    assert answer.status_code == 400
    assert "requirement failed: Directory not mounted: /mnt/nothing" in answer.json()["message"]


def test_tables_and_checkpoints_on_a_mount(world: World) -> None:
    assert not mount(world, "/mnt/data", f"s3n://{ACCESS_KEY}:{ENCODED}@{world.bucket}/data")
    world.bench.cells(
        "spark.range(4).write.format('delta').save('/mnt/data/numbers')\n"
        "spark.range(4, 6).write.format('delta').mode('append').save('dbfs:/mnt/data/numbers')\n"
        "stream = spark.readStream.format('delta').load('/mnt/data/numbers').writeStream.format('delta')\n"
        "stream = stream.option('checkpointLocation', '/mnt/data/checkpoint').trigger(availableNow=True)\n"
        "stream.start('/mnt/data/copy').awaitTermination()\n"
        "spark.sql(\"create table on_mount using delta location '/mnt/data/copy'\")\n"
        f"assert spark.read.format('delta').load('s3a://{world.bucket}/data/copy').count() == 6\n"
        "assert spark.table('on_mount').count() == 6\n"
        "spark.sql('drop table on_mount')"
    ).ok()
    kinds = {key.split("/")[1] for key in world.objects("data/")}
    assert {"numbers", "copy", "checkpoint"} <= kinds


@pytest.mark.long
def test_a_glob_is_as_fast_as_on_s3a(world: World) -> None:
    for number in range(60):
        world.put(f"many/u.pin/partition=0/{number:010d}.json", f'{{"index": {number}}}\n')
    assert not mount(world, "/mnt/fast", f"s3a://{world.bucket}/many")
    ended = world.bench.cells(
        "import json, time\n"
        "def seconds(path):\n"
        "    began = time.monotonic()\n"
        "    assert spark.read.schema('index int').json(path).count() == 60\n"
        "    return time.monotonic() - began\n"
        f"paths = ['/mnt/fast/u.pin/partition=0/*.json', 's3a://{world.bucket}/many/u.pin/partition=0/*.json']\n"
        "print(json.dumps([[seconds(path) for path in paths] for _ in range(4)]))"
    ).ok()
    mounted, direct = (min(column) for column in zip(*json.loads(ended.printed()), strict=True))
    assert mounted < 1.5 * direct + 0.2


def test_keys_stand_in_one_file_that_is_the_owners_and_nowhere_else(world: World) -> None:
    assert not mount(world, "/mnt/secret", f"s3n://{ACCESS_KEY}:{ENCODED}@{world.bucket}")
    mount(world, "/mnt/wrong", f"s3n://{ACCESS_KEY}:{ENCODED}@no-such-bucket")
    seen = command_lines(psutil.Process(world.cluster.pid))
    logs = world.cluster.log.parent.glob("*.log")
    seen += [file.read_text(encoding="utf-8") for file in logs] + [world.control("/mounts/list").text]
    assert not [text for text in seen if SECRET_KEY in text or ENCODED in text]
    kept = native.home(world.profile) / "mounts.json"
    assert kept.stat().st_mode & 0o777 == 0o600


def command_lines(host: psutil.Process) -> list[str]:
    found = []
    for process in (host, *host.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):  # ended meanwhile, or a zombie
            found.append(" ".join(process.cmdline()))
    assert any("java" in line for line in found)
    return found
