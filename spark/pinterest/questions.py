"""The questions about the posts, by section 7 of the contract; pinterest.registry lists them.

    posts = join({"pin": pins, "geo": places, "user": users})
    ask(posts)["q1"]     # a DataFrame with its rows in order

A post is a row of the join of the cleaned tables; a user is a non-null poster_name. Ties are kept. Each question is a
function from the posts to its rows in order; the registry names the columns that are kept of them.
"""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from pinterest.registry import QUESTIONS

POST_YEARS = (2018, 2022)
JOIN_YEARS = (2015, 2020)
# The first age of each group and its name; under 18 is in none.
AGE_GROUPS = ((18, "18-24"), (25, "25-35"), (36, "36-50"), (51, "+50"))


def join(tables: Mapping[str, DataFrame]) -> DataFrame:
    """The posts, with what the questions need of them, a row a post.

    ``tables`` are the cleaned tables by name, with one row per ``ind``. Columns: category, country, poster_name STRING,
    follower_count INT, post_year INT, join_year INT, age_from INT (the first age of the post's age group), age_group
    STRING. Years are those of the session's time zone, which must be UTC.
    """
    age_from = _first_match([(F.col("age") >= age, F.lit(age)) for age, _ in reversed(AGE_GROUPS)])
    age_group = _first_match([(F.col("age") >= age, F.lit(name)) for age, name in reversed(AGE_GROUPS)])
    pins = tables["pin"].select("ind", "category", "poster_name", "follower_count")
    places = tables["geo"].select("ind", "country", F.year("timestamp").alias("post_year"))
    join_year = F.year("date_joined").alias("join_year")
    users = tables["user"].select("ind", join_year, age_from.alias("age_from"), age_group.alias("age_group"))
    return pins.join(places, "ind").join(users, "ind").drop("ind")


def ask(posts: DataFrame) -> dict[str, DataFrame]:
    """The answers by question, each with its columns and rows in the contract's order."""
    return {name: answer_to(name, posts) for name in QUESTIONS}


def answer_to(name: str, posts: DataFrame) -> DataFrame:
    """The answer to one question: its columns, and its rows in order."""
    question = QUESTIONS[name]
    rows: DataFrame = globals()[question.function](posts)
    return rows.select(*question.columns)


def popular_category_by_country(posts: DataFrame) -> DataFrame:
    """q1."""
    return _in_order(_most_popular_category(posts, "country"), "country", "category")


def categories_by_year(posts: DataFrame) -> DataFrame:
    """q2."""
    counts = _category_counts(_in_years(posts, "post_year", POST_YEARS), "post_year")
    return _in_order(counts, "post_year", F.desc("category_count"), "category")


def popular_category_by_year(posts: DataFrame) -> DataFrame:
    """q2b."""
    popular = _most_popular_category(_in_years(posts, "post_year", POST_YEARS), "post_year")
    return _in_order(popular, "post_year", "category")


def most_followed_by_country(posts: DataFrame) -> DataFrame:
    """q3a; users without a count take no part."""
    users = _users(posts, "country").where(F.col("follower_count").isNotNull())
    return _in_order(_greatest(users, ["country"], "follower_count"), "country", "poster_name")


def country_of_most_followed(posts: DataFrame) -> DataFrame:
    """q3b; distinct rows."""
    countries = most_followed_by_country(posts).select("country", "follower_count").distinct()
    top = countries.agg(F.max("follower_count").alias("follower_count"))
    return _in_order(countries.join(top, "follower_count"), "country")


def popular_category_by_age(posts: DataFrame) -> DataFrame:
    """q4."""
    return _in_order(_most_popular_category(posts, "age_from", "age_group"), "age_from", "category")


def median_followers_by_age(posts: DataFrame) -> DataFrame:
    """q5."""
    return _in_order(_median_followers(posts, "age_from", "age_group"), "age_from")


def users_by_join_year(posts: DataFrame) -> DataFrame:
    """q6; distinct users. The year is called post_year, the course's name for it."""
    users = _users(_joined(posts), "post_year")
    return _in_order(users.groupBy("post_year").agg(F.count("*").alias("number_users_joined")), "post_year")


def median_followers_by_join_year(posts: DataFrame) -> DataFrame:
    """q7."""
    return _in_order(_median_followers(_joined(posts), "post_year"), "post_year")


def median_followers_by_age_and_join_year(posts: DataFrame) -> DataFrame:
    """q8."""
    return _in_order(_median_followers(_joined(posts), "age_from", "age_group", "post_year"), "age_from", "post_year")


def _in_order(rows: DataFrame, *columns: str | Column) -> DataFrame:
    """Rows in order, by one task: an answer is small, and sorting by ranges would work it out twice."""
    return rows.repartition(1).sortWithinPartitions(*columns)


def _first_match(cases: list[tuple[Column, Column]]) -> Column:
    return F.coalesce(*(F.when(condition, value) for condition, value in cases))


def _in_years(posts: DataFrame, column: str, years: tuple[int, int]) -> DataFrame:
    return posts.where(F.col(column).between(*years))


def _joined(posts: DataFrame) -> DataFrame:
    """The posts of users who joined in JOIN_YEARS, with that year as post_year."""
    return _in_years(posts.withColumn("post_year", F.col("join_year")), "post_year", JOIN_YEARS)


def _known(posts: DataFrame, columns: tuple[str, ...]) -> DataFrame:
    """Rows whose grouping value is null take no part in a question."""
    for column in columns:
        posts = posts.where(F.col(column).isNotNull())
    return posts


def _category_counts(posts: DataFrame, *group: str) -> DataFrame:
    """Posts per group and category: the group's columns, category, category_count."""
    columns = (*group, "category")
    return _known(posts, columns).groupBy(*columns).agg(F.count("*").alias("category_count"))


def _most_popular_category(posts: DataFrame, *group: str) -> DataFrame:
    return _greatest(_category_counts(posts, *group), list(group), "category_count")


def _greatest(rows: DataFrame, group: list[str], column: str) -> DataFrame:
    """Of each group the rows with the greatest value of a column, all that tie."""
    window = Window.partitionBy(*group)
    return rows.withColumn("top", F.max(column).over(window)).where(F.col(column) == F.col("top")).drop("top")


def _users(posts: DataFrame, *group: str) -> DataFrame:
    """Users per group with the greatest follower_count that each has there: group, poster_name, follower_count."""
    columns = (*group, "poster_name")
    return _known(posts, columns).groupBy(*columns).agg(F.max("follower_count").alias("follower_count"))


def _median_followers(posts: DataFrame, *group: str) -> DataFrame:
    """The exact median over a group's users that have a count: group, median_follower_count DOUBLE."""
    counted = _users(posts, *group).where(F.col("follower_count").isNotNull())
    return counted.groupBy(*group).agg(F.median("follower_count").alias("median_follower_count"))
