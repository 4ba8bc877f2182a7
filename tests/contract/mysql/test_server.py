"""The server that stands in for RDS: it keeps its rows, lets nobody else in, and comes back by itself."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import psutil
import pymysql
import pytest
from sqlalchemy import create_engine, text

from foundation.errors import NotReady, ProfileError
from foundation.profile import load
from foundation.registry import TABLES
from services.mysql.database import connect
from services.mysql.native import SERVICE
from services.mysql.seed import rows
from services.mysql.server import find
from tests.contract.mysql.conftest import Instance
from tests.unit.test_mysql_accounts import PASSWORDS


def test_the_generated_rows_come_back_as_they_were_made(loaded: Instance) -> None:
    generated = rows()
    for table in TABLES.values():
        assert loaded.rows(f"SELECT * FROM {table.source} ORDER BY `{table.key}`") == generated[table.name]


def test_columns_are_in_the_contracts_order(loaded: Instance) -> None:
    found = loaded.rows(
        "SELECT table_name, column_name FROM information_schema.columns"
        " WHERE table_schema = 'pinterest_data' ORDER BY table_name, ordinal_position"
    )
    assert found == sorted(
        ((table.source, column) for table in TABLES.values() for column in table.columns), key=lambda pair: pair[0]
    )


def test_sqlalchemy_reads_a_post_with_the_profiles_url(loaded: Instance) -> None:
    engine = create_engine(loaded.profile.database.engine_url)
    with engine.connect() as connection:
        row = connection.execute(text("SELECT * FROM pinterest_data WHERE `index` = 7528")).mappings().one()
    engine.dispose()
    assert row["index"] == 7528
    assert row["category"] == "mens-fashion"


def test_loading_again_changes_nothing(loaded: Instance) -> None:
    before = loaded.rows("SHOW TABLE STATUS")
    said = loaded.load()
    assert "already loaded" in said
    assert [row[11] for row in loaded.rows("SHOW TABLE STATUS")] == [row[11] for row in before]
    assert loaded.rows("SHOW TABLES") == [("geolocation_data",), ("pinterest_data",), ("user_data",)]


def test_server_listens_on_the_loopback_address_and_its_port_only(loaded: Instance) -> None:
    listening = {
        (connection.laddr.ip, connection.laddr.port)
        for connection in psutil.Process(loaded.pid).net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {("127.0.0.1", SERVICE.ports(loaded.profile)[0])}


def test_clocks_and_texts_are_utc_and_utf8mb4(loaded: Instance) -> None:
    assert loaded.rows("SELECT @@time_zone, @@character_set_server, @@character_set_connection") == [
        ("+00:00", "utf8mb4", "utf8mb4")
    ]


def test_application_user_sees_its_own_database_only(loaded: Instance) -> None:
    assert ("pinterest_data",) in loaded.rows("SHOW DATABASES")
    for statement in ("SELECT * FROM mysql.user", "CREATE DATABASE another", "DROP DATABASE mysql"):
        with pytest.raises(pymysql.Error, match="denied"):
            loaded.rows(statement)


def test_no_account_logs_in_without_a_password(loaded: Instance) -> None:
    for user in ("root", "mysql", "", "pinflow"):
        with pytest.raises(pymysql.Error):
            pymysql.connect(host="127.0.0.1", port=SERVICE.ports(loaded.profile)[0], user=user, password="")


def test_password_is_in_no_argument_no_file_and_no_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "s3cret; 'quoted' \\ \"$x%\";"
    monkeypatch.setenv("PINFLOW_DATABASE_PASSWORD", secret)
    instance = Instance(tmp_path)
    try:
        instance.start()
        assert "s3cret" not in " ".join(psutil.Process(instance.pid).cmdline())
    finally:
        instance.stop()
    holding = [p for p in tmp_path.rglob("*") if p.is_file() and b"s3cret" in p.read_bytes()]
    assert holding == []


def test_a_new_password_in_the_environment_holds_from_the_next_start(
    mysql: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PINFLOW_DATABASE_PASSWORD", "another")
    with pytest.raises(NotReady, match="Access denied"):
        SERVICE.probe(mysql.profile)
    mysql.stop()
    mysql.start()
    monkeypatch.setenv("PINFLOW_DATABASE_PASSWORD", "pinflow")
    with pytest.raises(NotReady, match="Access denied"):
        SERVICE.probe(mysql.profile)


def test_any_password_logs_in_everywhere_and_the_one_before_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance, before = Instance(tmp_path), ""
    for password in PASSWORDS:
        monkeypatch.setenv("PINFLOW_DATABASE_PASSWORD", password)
        try:
            instance.start()  # waits until the application's user can ask
            engine = create_engine(instance.profile.database.engine_url)
            with engine.connect() as connection:
                assert connection.execute(text("SELECT 1")).scalar_one() == 1
            engine.dispose()
            with pytest.raises(pymysql.Error, match="denied"):
                pymysql.connect(
                    host="127.0.0.1", port=SERVICE.ports(instance.profile)[0], user="pinflow", password=before
                )
        finally:
            instance.stop()
        before = password


def test_rows_survive_sigkill(mysql: Instance) -> None:
    mysql.load()
    mysql.stop(signal.SIGKILL)
    mysql.start()
    assert mysql.counts() == [11154, 11154, 11154]
    assert "already loaded" in mysql.load()


def test_a_server_killed_while_it_was_loading_is_loaded_whole_afterwards(mysql: Instance) -> None:
    loader = os.fork()
    if loader == 0:
        # Dies without a word, as the machine's owner pressing a button would have it.
        signal.setitimer(signal.ITIMER_REAL, 0.7)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        SERVICE.initialise(mysql.profile, lambda message: None)
        os._exit(0)
    os.waitpid(loader, 0)
    mysql.stop(signal.SIGKILL)
    mysql.start()
    mysql.load()
    assert mysql.counts() == [11154, 11154, 11154]
    assert len(mysql.rows("SHOW TABLES")) == 3


def test_a_half_made_data_directory_is_made_again(tmp_path: Path) -> None:
    instance = Instance(tmp_path)
    half = instance.profile.home / "mysql" / f"{'mariadb' if find().mariadb else 'mysql'}.partial"
    (half / "mysql").mkdir(parents=True)
    (half / "ibdata1").write_bytes(b"\0" * 4096)
    try:
        instance.start()
        assert not half.exists()
    finally:
        instance.stop()


def test_a_server_of_somebody_else_on_the_port_is_not_ours(mysql: Instance, tmp_path: Path) -> None:
    shutil.copy(mysql.file, other := tmp_path / "other.yaml")
    other.write_text(other.read_text().replace(str(mysql.home / "state"), str(tmp_path / "elsewhere")))
    with pytest.raises(NotReady, match="another MySQL server answers"):
        SERVICE.owned(load(str(other)))


def test_no_server_yet_is_said_as_such(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match=r"MySQL on 127\.0\.0\.1:\d+: .*refused"):
        SERVICE.probe(Instance(tmp_path).profile)


def test_a_database_elsewhere_is_never_started_or_filled_here(tmp_path: Path) -> None:
    instance = Instance(tmp_path)
    text = instance.file.read_text().replace("@127.0.0.1:", "@db.example.com:")
    instance.file.write_text(text)
    with pytest.raises(ProfileError, match="take mysql out of"):
        SERVICE.ports(instance.profile)


def test_a_deep_directory_is_no_obstacle(tmp_path: Path) -> None:
    deep = tmp_path / "/".join(["a directory with a long name"] * 6)
    deep.mkdir(parents=True)
    instance = Instance(deep)
    try:
        instance.start()
        with connect(instance.profile) as connection:
            assert connection.open
    finally:
        instance.stop()
