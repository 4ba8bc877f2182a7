"""A thousand bad dumps: each is loaded whole, or refused with the file, and the tables from before are still there."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from foundation.errors import PinflowError
from tests.contract.mysql.conftest import Instance
from tests.generated import CASES, damaged

pytestmark = pytest.mark.long
TABLES = ("pinterest_data", "geolocation_data", "user_data")
GOOD = """\
-- MySQL dump 10.13
/*!50503 SET NAMES utf8mb4 */;
DROP TABLE IF EXISTS `pinterest_data`;
CREATE TABLE `pinterest_data` (`index` int NOT NULL, `unique_id` text, `title` text, `description` text,
  `poster_name` text, `follower_count` text, `tag_list` text, `is_image_or_video` text, `image_src` text,
  `downloaded` int, `save_location` text, `category` text) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
LOCK TABLES `pinterest_data` WRITE;
INSERT INTO `pinterest_data` VALUES (0,'u0','It\\'s; a "test"','d','p','12k','a,b','image','x',1,'l','art'),
  (1,'u1','Ünicode 😍','d','p','5M','a,b','image','x',1,'l','art');
UNLOCK TABLES;
CREATE TABLE `geolocation_data` (`ind` int, `timestamp` datetime, `latitude` float, `longitude` float, `country` text);
INSERT INTO `geolocation_data` VALUES (0,'2019-05-01 00:00:00',-89.5,NULL,'Peru'),(1,'2020-01-01 00:00:00',1,2,'Chad');
CREATE TABLE `user_data` (`ind` int, `first_name` text, `last_name` text, `age` int, `date_joined` datetime);
INSERT INTO `user_data` VALUES (0,'Aaron','Abbott',20,'2015-10-21 01:02:03'),(1,'Li','Ng',33,'2016-01-01 00:00:00');
-- Dump completed
""".encode()
PIECES = (
    b"CREATE TABLE `user_data` (`ind` int);", b"INSERT INTO `user_data` VALUES (2);", b"DELIMITER ;;\n",
    b"USE `mysql`;", b"DROP TABLE pinterest_data;", b"INSERT INTO `user_data` SELECT 1;",
    b"/*!40101 ", b"'", b"*/", b");", b"\x1f\x8b",
    b"REPLACE INTO `geolocation_data` VALUES (0,'x',1,2,3);", b"INSERT INTO `user_data` VALUES (5,NULL,NULL,'x',NULL);",
)  # fmt: skip


def dump(draw: random.Random) -> bytes:
    """A dump that is wrong somewhere."""
    lines = GOOD.splitlines(keepends=True)
    match draw.randrange(5):
        case 0:
            del lines[draw.randrange(len(lines))]
        case 1:
            lines.insert(draw.randrange(len(lines) + 1), draw.choice(PIECES))
        case 2:
            one, two = draw.sample(range(len(lines)), 2)
            lines[one], lines[two] = lines[two], lines[one]
        case _:
            return damaged(draw, GOOD)
    return b"".join(lines)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    instance = Instance(tmp_path_factory.mktemp("mysql"))
    try:
        instance.start()
        yield instance
    finally:
        instance.stop()


@pytest.mark.parametrize("seed", [7])
@pytest.mark.timeout(1500)
def test_each_dump_is_loaded_whole_or_refused_with_its_place(server: Instance, tmp_path: Path, seed: int) -> None:
    draw, path, refused = random.Random(seed), tmp_path / "bad.sql", 0
    path.write_bytes(GOOD)
    server.dump(path)
    server.load()
    before = contents(server)
    for number in range(CASES):
        raw = dump(draw)
        path.write_bytes(raw)
        case = f"case {number}: {raw!r}"
        try:
            said = server.load()
        except PinflowError as error:
            refused += 1
            assert path.name in str(error), f"{case}\n{error}"
            assert re.search(
                rf"{re.escape(str(path))}:\d+: |: no rows for |is missing|lacks the column", str(error)
            ) or ("UTF-16" in str(error) or "gzip" in str(error)), f"{case}\n{error}"
            assert contents(server) == before, f"{case}: refused, and the tables changed"
        except Exception as error:
            raise AssertionError(f"{case}\n{error!r}") from error
        else:
            assert "loaded" in said, case
            before = contents(server)
            assert all(before.values()), case
    assert refused > 200, "a seed that is bad enough"
    path.write_bytes(GOOD)
    server.load()
    (left,) = server.rows("SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE()")
    assert left == (len(TABLES),), "no side tables, nothing that the dumps wanted to make"


def contents(server: Instance) -> dict[str, list[tuple[object, ...]]]:
    """All rows of the three tables."""
    return {table: server.rows(f"SELECT * FROM `{table}`") for table in TABLES}
