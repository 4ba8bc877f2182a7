"""Parameters of spark.sql: what Spark itself makes of the same call where it binds the values in its plan."""

from __future__ import annotations

import json

from tests.contract.notebook.bench import Bench

COMPARE = r'''
import datetime, decimal, json, random, string

NATIVE = type(spark).sql.__wrapped__  # PySpark's own: it sends the values beside the statement
CHARACTERS = string.printable + "äß€😀\0'\"`\\$`{}?:;"
ANY = """
select :x as v
select(:x),:x
select -- :x@:x
select -- \@:x@:x
select :x-- :x
select /* :x */:x/* /* ' */ :x */
select /* " */ :x /* ' */, ':x', ':x it''s :x' || ':x\'', ":x"
select r'\', :x, R"\", :x
select `:x`,:x from (select 1 as `:x`)
select :`x`, array(:x)[0],array(1,2)[0],:x
select case when :x is null then :x else:x end
select:x,:x::string,cast(:x as string)|| '::x'
select * from values (:x), (:x) as t(v) where v<=>:x
select coalesce(:x,:x), :x<=>:x, :x in (:x)
select map('k',:x)['k'], named_struct(':x',:x)
select p:a::int,p:a,:x from (select parse_json('{"a":1}') as p)
with t as (select :x as v) select * from t
select /*+ coalesce(1) */* from (select :x)
select ?,? -- ?
select '?', `?`,?,? from (select 1 as `?`) /* ? */
""".strip().splitlines()
NUMBERS = """
select 10-:x
select 10--:x@
select -:x
select 10 - :x
select 2*:x*2, 2-:x-:x
select 3 between:x and:x
select ~:x, abs(:x), :x+:x, :x%7
select transform(array(1),e->e+:x)
select 1 where not:x=3
select 10-?-?
select -?, ?*-1
""".strip().splitlines()


def number(r):
    return r.choice([
        lambda: r.randint(-9, 9), lambda: -(1 << 31), lambda: r.randint(-(1 << 31), (1 << 31) - 1),
        lambda: r.randint(-(1 << 63), (1 << 63) - 1), lambda: -(1 << 63),
    ])()

def value(r):
    minutes = datetime.timedelta(minutes=r.randint(-700, 700))
    kinds = [
        lambda: number(r),
        lambda: "".join(r.choices(CHARACTERS, k=r.randint(0, 12))),
        lambda: r.randbytes(r.randint(0, 5)),
        lambda: bytearray(r.randbytes(2)),
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

r = random.Random(20261129)
calls = []
for n in range(400):
    query, x = (r.choice(ANY), value(r)) if n % 3 else (r.choice(NUMBERS), number(r))
    calls.append((query.replace("@", "\n"), [x, x] if "?" in query.replace("'?'", "") else {"x": x, "y": "unused"}))

def answer(run, query, args):
    try:
        frame = run(query, args)
        types = [field.dataType.simpleString() for field in frame.schema]
        return repr((types, [tuple(row) for row in frame.collect()]))
    except Exception as error:
        return "error " + getattr(error, "getCondition", lambda: type(error).__name__)()

ours = [answer(spark.sql, *call) for call in calls]
spark.conf.set("spark.sql.legacy.parameterSubstitution.constantsOnly", "true")
sparks = [answer(lambda *call: NATIVE(spark, *call), *call) for call in calls]
errors = sum(text.startswith("error") for text in sparks)
wrong = [(str(call), a, b) for call, a, b in zip(calls, ours, sparks) if a != b]
print(json.dumps({"calls": len(calls), "errors": errors, "wrong": wrong}))
'''


def test_a_value_is_the_value_wherever_it_stands(bench: Bench) -> None:
    told = json.loads(bench.cells(COMPARE).ok().printed())
    assert told["wrong"] == [] and told["errors"] < told["calls"] // 10, told
