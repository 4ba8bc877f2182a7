"""Parameters of spark.sql: the same as a column that holds the value, wherever they stand."""

from __future__ import annotations

import json

from tests.contract.notebook.bench import Bench

COMPARE = r'''
import datetime, decimal, json, random, string
from pyspark.sql.functions import lit

CHARACTERS = string.printable + "äß€😀\0'\"`\\$`{}?:;"
# @ is the parameter, and for what is expected the column; ~ is a new line. All else has to stay as it is.
ANY = """
@ as v
@,@
-- :x ? ~@
-- \~:x ? ~@
@-- :x
/* :x ? */@/* /* ' */ :x */
/* " */ @ /* ' */, ':x ?', ':x it''s :x' || ':x\'', ":x ?"
r'\', @, R"\", @
array(@)[0],array(1,2)[0],@
case when @ is null then @ else @ end
(@),@::string,cast(@ as string)|| '::x'
coalesce(@,@), @<=>@, @ in (@)
map('k',@)['k'], named_struct(':x',@)
parse_json('{"x":1}'):x::int,@
/*+ coalesce(1) */@
""".strip().splitlines()
NUMBERS = """
10-@
10--@~
-@
10 - @
2*@*2, 2-@-@
3 between @ and @
~@, abs(@), @+@, @%7
transform(array(1),e->e+@)
not(@=3),@>-@
""".replace("~@", "- -@").strip().splitlines()

def number(r):
    return r.choice([
        lambda: r.randint(-9, 9), lambda: -(1 << 31), lambda: r.randint(-(1 << 31), (1 << 31) - 1),
        lambda: r.randint(-(1 << 63), (1 << 63) - 1), lambda: -(1 << 63),
        lambda: decimal.Decimal(r.randint(-999, 999)).scaleb(r.randint(-9, 9)),
    ])()

def value(r):
    minutes = datetime.timedelta(minutes=r.randint(-700, 700))
    kinds = [
        lambda: number(r),
        lambda: "".join(r.choices(CHARACTERS, k=r.randint(0, 12))),
        lambda: bytes(r.choices(range(128), k=r.randint(0, 5))),
        lambda: bytearray(r.choices(range(128), k=2)),
        lambda: r.choice([None, True, False]),
        lambda: r.choice([0.0, -0.0, float("inf"), -float("inf"), r.gauss(0, 1e9), 5e-324]),
        lambda: datetime.date(r.randint(1600, 9999), r.randint(1, 12), r.randint(1, 28)),
        lambda: datetime.datetime(r.randint(1900, 2200), r.randint(1, 12), 3, 4, 5, 6, r.randint(0, 999_999)),
        lambda: datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone(minutes)),
        lambda: datetime.timedelta(r.randint(-9999, 9999), r.randint(0, 86399), r.randint(0, 999_999)),
        lambda: [r.randint(-9, 9) for _ in range(r.randint(1, 3))],
        lambda: [[str(r.random())], ["a'b", ":x"]],
    ]
    return r.choice(kinds)()

def answer(*call):
    try:
        return repr([tuple(row) for row in spark.sql(*call).collect()])
    except Exception as error:
        return f"{type(error).__name__} {getattr(error, 'getCondition', str)()}"

r = random.Random(20261129)
wrong, refused = [], 0
for n in range(60):
    template, x = (r.choice(ANY), value(r)) if n % 3 else (r.choice(NUMBERS), number(r))
    template = "select " + template.replace("~", "\n")
    spark.range(1).select(lit(x).alias("c")).createOrReplaceTempView("given")
    expected = answer(template.replace("@", " c ") + "\nfrom given")
    refused += not expected.startswith("[")
    for marker, args in ((":x", {"x": x, "y": "unused"}), (":`x`", {"x": x}), ("?", [x] * 9)):
        found = answer(template.replace("@", marker), args)
        if found != expected:
            wrong.append((template, marker, repr(x), found, expected))
print(json.dumps([wrong, refused]))
'''


def test_a_value_is_the_value_wherever_it_stands(bench: Bench) -> None:
    wrong, refused = json.loads(bench.start(bench.notebook("/Users/me/compared", COMPARE)).wait(500).ok().printed())
    assert wrong == [] and refused < 10, refused
