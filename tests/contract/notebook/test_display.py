"""display, displayHTML and figures."""

from __future__ import annotations

from tests.contract.notebook.bench import Bench

TABLE = "application/vnd.pinflow.table+json"


def test_a_data_frame_is_shown_with_its_types(bench: Bench) -> None:
    ended = bench.cells(
        "display(spark.sql(\"select 1 as a, 'x' as b, date'2020-01-02' as c, cast(1.5 as decimal(3,1)) as d, "
        "array(1, 2) as e, map('k', 1) as f, struct(1 as g) as h, cast('nan' as double) as i, "
        "timestamp'2020-01-02 03:04:05' as j, null as k\"))\n"
        "spark.range(2).display()"
    ).ok()
    first, second = ended.shown()
    assert first["mime"] == TABLE and not first["truncated"]
    assert [c["type"] for c in first["columns"]] == [
        *("int", "string", "date", "decimal(3,1)", "array<int>", "map<string,int>", "struct<g:int>", "double"),
        *("timestamp", "void"),
    ]
    assert first["rows"] == [
        [1, "x", "2020-01-02", "1.5", [1, 2], {"k": 1}, {"g": 1}, "nan", "2020-01-02T03:04:05", None]
    ]
    assert second["rows"] == [[0], [1]]


def test_a_long_table_shows_10000_rows_and_a_wide_one_2_mb(bench: Bench) -> None:
    ended = bench.cells(
        "display(spark.range(1_000_000))", "display(spark.range(100).selectExpr(\"repeat('x', 100000) as text\"))"
    ).ok()
    assert len(ended.shown(1)[0]["rows"]) == 10_000 and ended.shown(1)[0]["truncated"]
    assert 15 < len(ended.shown(2)[0]["rows"]) < 25 and ended.shown(2)[0]["truncated"]


def test_pandas_and_rows_are_tables_too(bench: Bench) -> None:
    ended = bench.cells(
        "import pandas as pd\nfrom pyspark.sql import Row\n"
        "display(pd.DataFrame({'a': [1, 2], 'b': ['x', None]}))\n"
        "display([Row(p=1, q='y'), Row(p=2, q='z')])\n"
        "display(pd.Series([1.5], name='s'))\n"
        "dbutils.fs.put('/shown/a.txt', '1', True)\ndisplay(dbutils.fs.ls('/shown'))"
    ).ok()
    assert [(t["columns"][0]["name"], t["rows"]) for t in ended.shown()] == [
        ("a", [[1, "x"], [2, None]]),
        ("p", [[1, "y"], [2, "z"]]),
        ("s", [[1.5]]),
        ("path", [["dbfs:/shown/a.txt", "a.txt", 1, 1700000000000]]),
    ]


def test_html_is_shown(bench: Bench) -> None:
    ended = bench.cells(
        "displayHTML('<b>bold</b>')\n"
        "class Plot:\n    def _repr_html_(self):\n        return '<div>plot</div>'\n"
        "display(Plot())\nPlot()"
    ).ok()
    assert [(e["mime"], e["html"]) for e in ended.shown()] == [
        ("text/html", "<b>bold</b>"),
        ("text/html", "<div>plot</div>"),
        ("text/html", "<div>plot</div>"),
    ]


def test_figures_are_pictures_shown_at_the_cells_end(bench: Bench) -> None:
    ended = bench.cells(
        "import matplotlib.pyplot as plt\nplt.plot([1, 2]);", "import pandas as pd\npd.Series([1, 2]).plot();"
    ).ok()
    for cell in (1, 2):
        (figure,) = ended.shown(cell)
        assert figure["mime"] == "image/png" and figure["file"] == f"cell{cell}-1.png"
        assert (ended.output / figure["file"]).read_bytes().startswith(b"\x89PNG")


def test_a_stream_shows_its_first_rows_and_stops(bench: Bench) -> None:
    ended = bench.cells(
        "display(spark.readStream.format('rate').option('rowsPerSecond', 5).load(), streamName='ticks')",
        "print(len(spark.streams.active))",
    ).ok()
    (table,) = ended.shown(1)
    assert [c["name"] for c in table["columns"]] == ["timestamp", "value"] and table["rows"]
    assert ended.printed(2) == "0\n"


def test_an_aggregated_stream_is_shown_complete(bench: Bench) -> None:
    ended = bench.cells("display(spark.readStream.format('rate').load().groupBy('value').count())").ok()
    assert [c["name"] for c in ended.shown(1)[0]["columns"]] == ["value", "count"]
