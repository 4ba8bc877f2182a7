"""A user's own mysqldump takes the place of the generated rows, and touches nothing else."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from foundation.errors import PinflowError
from foundation.registry import TABLES
from services.mysql.dump import DumpError, split
from services.mysql.load import create_statement
from services.mysql.seed import rows
from tests.contract.mysql.conftest import Instance

PIN_COLUMNS = """
  `index` int NOT NULL,
  `unique_id` varchar(36) COLLATE utf8mb4_0900_ai_ci DEFAULT NULL COMMENT 'a; b',
  `title` text COLLATE utf8mb4_0900_ai_ci, `description` text, `poster_name` text, `follower_count` text,
  `tag_list` text, `is_image_or_video` text, `image_src` text, `downloaded` int, `save_location` text, `category` text
"""
NASTY = r"""-- MySQL dump 10.13  Distrib 8.4.3, for Linux (x86_64); it's "nasty"
/*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */;
/*!50503 SET NAMES utf8mb4 */;
/*!40103 SET TIME_ZONE='+00:00' */;
# a comment; with a 'quote
CREATE DATABASE /*!32312 IF NOT EXISTS*/ `pinterest_data` /*!40100 DEFAULT CHARACTER SET utf8mb4 */;
USE `mysql`;
DROP DATABASE IF EXISTS `pinterest_data`;
CREATE TABLE `stolen` (`a` int);
DROP TABLE IF EXISTS `pinterest_data`;
/*!50503 SET character_set_client = utf8mb4 */;
CREATE TABLE `pinterest_data` (COLUMNS) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci;
LOCK TABLES `pinterest_data` WRITE;
/*!40000 ALTER TABLE `pinterest_data` DISABLE KEYS */;
INSERT INTO `pinterest_data` VALUES (0,'u0','It\'s; a "test" -- no /* comment */ #1','a\\','O''Hara','12k','a,b',
  'image','x',1,'l','art'),
(1,'u1','😍 Ελένη);\n(2,','two
lines; here','"double""d"','5M','','image','x',1,'l','art');
INSERT INTO pinterest_data (`index`, title) VALUES (2,'INSERT INTO `user_data` VALUES (1);');
/*!40000 ALTER TABLE `pinterest_data` ENABLE KEYS */;
UNLOCK TABLES;
CREATE TABLE IF NOT EXISTS `elsewhere`.`geolocation_data` (`ind` int NOT NULL AUTO_INCREMENT, `timestamp` datetime,
  `latitude` float, `longitude` float, `country` text, PRIMARY KEY (`ind`));
INSERT INTO `elsewhere`.`geolocation_data` VALUES (0,'2019-05-01 00:00:00',-89.5,NULL,'Côte d\'Ivoire'),
  (1,'2020-05-01 00:00:00',1,2,'Peru');
CREATE TABLE `user_data` (`ind` int, `first_name` text, `last_name` text, `age` int, `date_joined` datetime) ;
INSERT INTO `user_data` VALUES (0,'Aaron','Abbott',20,'2015-10-21 01:02:03'),(1,'Li','Ng',33,'2016-01-01 00:00:00');
GRANT ALL ON *.* TO 'pinflow'@'%';
-- Dump completed on 2026-11-21  0:00:00""".replace("COLUMNS", PIN_COLUMNS)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    instance = Instance(tmp_path_factory.mktemp("mysql"))
    try:
        instance.start()
        yield instance
    finally:
        instance.stop()


@pytest.fixture
def mysql(server: Instance) -> Instance:
    """The server without any table and without a dump in its profile."""
    server.dump(None)
    for (table,) in server.rows("SHOW TABLES"):
        server.rows(f"DROP TABLE `{table}`")
    return server


@pytest.fixture
def nasty(tmp_path: Path) -> Path:
    path = tmp_path / "nasty.sql"
    path.write_text(NASTY, encoding="utf-8", newline="")
    return path


def test_texts_of_a_nasty_dump_arrive_to_the_letter(mysql: Instance, nasty: Path) -> None:
    mysql.dump(nasty)
    mysql.load()
    assert mysql.rows("SELECT `index`, title, description, poster_name FROM pinterest_data ORDER BY 1") == [
        (0, 'It\'s; a "test" -- no /* comment */ #1', "a\\", "O'Hara"),
        (1, "😍 Ελένη);\n(2,", "two\nlines; here", '"double""d"'),
        (2, "INSERT INTO `user_data` VALUES (1);", None, None),
    ]
    assert mysql.rows("SELECT ind, country, longitude FROM geolocation_data ORDER BY 1") == [
        (0, "Côte d'Ivoire", None),
        (1, "Peru", 2.0),
    ]
    assert mysql.counts() == [3, 2, 2]


def test_a_dump_touches_the_three_tables_only(mysql: Instance, nasty: Path) -> None:
    mysql.dump(nasty)
    mysql.load()
    assert mysql.rows("SHOW TABLES") == [("geolocation_data",), ("pinterest_data",), ("user_data",)]
    assert {"stolen", "elsewhere"}.isdisjoint(name for (name,) in mysql.rows("SHOW DATABASES"))


def test_a_gzipped_dump_with_dos_line_ends_and_a_byte_order_mark(mysql: Instance, tmp_path: Path) -> None:
    packed = tmp_path / "dump.sql.gz"
    packed.write_bytes(gzip.compress(NASTY.replace("\n", "\r\n").encode("utf-8-sig")))
    mysql.dump(packed)
    mysql.load()
    assert mysql.counts() == [3, 2, 2]


def test_changing_the_source_replaces_the_rows_and_says_so(mysql: Instance, nasty: Path) -> None:
    mysql.load()
    mysql.dump(nasty)
    assert "replacing the rows of seed 100" in mysql.load()
    assert mysql.counts() == [3, 2, 2]
    assert mysql.load() == "dump nasty.sql: already loaded"
    nasty.write_text(NASTY.replace("'Peru'", "'Chile'"), encoding="utf-8")
    assert "replacing" in mysql.load()
    assert mysql.rows("SELECT country FROM geolocation_data WHERE ind = 1") == [("Chile",)]
    mysql.dump(None)
    assert "replacing the rows of dump" in mysql.load()
    assert mysql.counts() == [11154, 11154, 11154]


def test_what_a_dump_lacks_is_named_and_the_old_rows_stay(mysql: Instance, nasty: Path) -> None:
    mysql.load()
    nasty.write_text(NASTY.replace("`age` int, ", "").replace("20,'2015", "'2015").replace("33,'2016", "'2016"))
    mysql.dump(nasty)
    with pytest.raises(PinflowError, match=r"nasty\.sql: user_data lacks the column age"):
        mysql.load()
    nasty.write_text(NASTY.replace("`geolocation_data`", "`places`"))
    with pytest.raises(PinflowError, match="the table geolocation_data is missing"):
        mysql.load()
    assert mysql.counts() == [11154, 11154, 11154]


def test_an_error_in_a_dump_names_its_line(mysql: Instance, nasty: Path) -> None:
    nasty.write_text(NASTY.replace("(0,'Aaron','Abbott',20,", "(0,'Aaron',"))
    mysql.dump(nasty)
    line = next(i for i, text in enumerate(nasty.read_text().splitlines(), 1) if text.startswith("INSERT INTO `user_"))
    with pytest.raises(DumpError, match=rf"nasty\.sql:{line}: Column count"):
        mysql.load()


@pytest.mark.parametrize(
    "statement",
    ["INSERT INTO `user_data` SELECT * FROM mysql.user;", "CREATE TABLE `user_data` AS SELECT 1;", "DELIMITER ;;\n"],
)
def test_statements_that_could_read_elsewhere_are_refused(mysql: Instance, tmp_path: Path, statement: str) -> None:
    path = tmp_path / "dump.sql"
    path.write_text(statement)
    mysql.dump(path)
    with pytest.raises(DumpError, match=r"dump\.sql:1: "):
        mysql.load()


def test_a_dump_that_was_cut_off_is_refused(mysql: Instance, nasty: Path) -> None:
    nasty.write_text(NASTY[: NASTY.index("Ivoire")])
    mysql.dump(nasty)
    with pytest.raises(DumpError, match="never ends"):
        mysql.load()


def test_a_dump_in_utf16_is_refused_with_what_to_do(mysql: Instance, nasty: Path) -> None:
    nasty.write_text(NASTY, encoding="utf-16")
    mysql.dump(nasty)
    with pytest.raises(DumpError, match=r"(?s)UTF-16.*--result-file"):
        mysql.load()


def test_a_missing_dump_is_said(mysql: Instance, tmp_path: Path) -> None:
    mysql.dump(tmp_path / "nowhere.sql")
    with pytest.raises(PinflowError, match=r"stack\.dump: .*nowhere\.sql does not exist"):
        mysql.load()


def test_tables_of_somebody_else_are_left_alone(mysql: Instance, nasty: Path) -> None:
    mysql.rows("CREATE TABLE user_data (ind INT)")
    with pytest.raises(PinflowError, match="the table pinterest_data is missing"):
        mysql.load()
    mysql.dump(nasty)
    with pytest.raises(PinflowError, match="user_data exists and was not loaded by pinflow"):
        mysql.load()
    assert mysql.rows("SHOW TABLES") == [("user_data",)]


def test_a_whole_dump_of_the_generated_size_loads_in_seconds(mysql: Instance, tmp_path: Path) -> None:
    generated, path = rows(), tmp_path / "own.sql"

    def quoted(value: object) -> str:
        text = str(value).replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
        return str(value) if isinstance(value, int | float) else f"'{text}'"

    with path.open("w", encoding="utf-8") as file:
        for table in TABLES.values():
            file.write(f"{create_statement(table, table.source)};\nINSERT INTO `{table.source}` VALUES ")
            file.write(",".join(f"({','.join(map(quoted, row))})" for row in generated[table.name]) + ";\n")
    mysql.dump(path)
    said = mysql.load()
    assert "loaded 3 × 11,154 rows" in said
    assert float(said.rsplit(" ", 2)[1]) < 20
    assert mysql.rows("SELECT * FROM pinterest_data ORDER BY `index`") == generated["pin"]


def test_splitting_ignores_semicolons_in_quotes_and_comments() -> None:
    sql = b"""a 'x;\\';' "y;""\\";" `z;`;\n-- c; '\nb /* ; ' */ # d;\n;--\nc--1;"""
    found = [(line, text.strip()) for line, text in split(sql.splitlines(keepends=True), Path("x"))]
    assert [line for line, _ in found] == [1, 4, 5]
    assert found[0][1] == b"""a 'x;\\';' "y;""\\";" `z;`"""
