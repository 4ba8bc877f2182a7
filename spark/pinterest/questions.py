"""The ten questions about the posts, as section 7 of the contract puts them.

    posts = join(pins, geos, users)
    ask(posts)["q1"]     # a DataFrame with its rows in order

A post is a row of the join of the three cleaned tables; a user is a non-null poster_name. Ties are kept.
"""

from __future__ import annotations

from collections.abc import Callable

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

POST_YEARS = (2018, 2022)
JOIN_YEARS = (2015, 2020)
# The first age of each group and its name; under 18 is in none.
AGE_GROUPS = ((18, "18-24"), (25, "25-35"), (36, "36-50"), (51, "+50"))


def join(pins: DataFrame, geos: DataFrame, users: DataFrame) -> DataFrame:
    """The posts, with what the questions ask of them, a row a post.

    ``pins``, ``geos`` and ``users`` are cleaned tables with one row per ``ind``. Columns: category, country,
    poster_name STRING, follower_count INT, post_year INT, join_year INT, age_from INT (the first age of the post's
    age group), age_group STRING. Years are those of the session's time zone, which must be UTC.
    """
    age_from = _first_match([(F.col("age") >= age, F.lit(age)) for age, _ in reversed(AGE_GROUPS)])
    age_group = _first_match([(F.col("age") >= age, F.lit(name)) for age, name in reversed(AGE_GROUPS)])
    return (
        pins.select("ind", "category", "poster_name", "follower_count")
        .join(geos.select("ind", "country", F.year("timestamp").alias("post_year")), "ind")
        .join(
            users.select(
                "ind",
                F.year("date_joined").alias("join_year"),
                age_from.alias("age_from"),
                age_group.alias("age_group"),
            ),
            "ind",
        )
        .drop("ind")
    )


def ask(posts: DataFrame) -> dict[str, DataFrame]:
    """The answers by question, q1 to q8, each with its columns and rows in the contract's order."""
    return {name: question(posts) for name, question in QUESTIONS.items()}


def q1(posts: DataFrame) -> DataFrame:
    """The most popular category in each country: country, category, category_count."""
    return _in_order(_most_popular_category(posts, "country"), "country", "category")


def q2(posts: DataFrame) -> DataFrame:
    """Posts per category per year, 2018 to 2022: post_year, category, category_count."""
    counts = _category_counts(_in_years(posts, "post_year", POST_YEARS), "post_year")
    return _in_order(counts, "post_year", F.desc("category_count"), "category")


def q2b(posts: DataFrame) -> DataFrame:
    """The most popular category of each of those years: post_year, category, category_count."""
    popular = _most_popular_category(_in_years(posts, "post_year", POST_YEARS), "post_year")
    return _in_order(popular, "post_year", "category")


def q3a(posts: DataFrame) -> DataFrame:
    """The user with the most followers in each country: country, poster_name, follower_count."""
    users = _users(posts, "country").where(F.col("follower_count").isNotNull())
    return _in_order(_greatest(users, ["country"], "follower_count"), "country", "poster_name")


def q3b(posts: DataFrame) -> DataFrame:
    """The country with the user with the most followers: country, follower_count."""
    countries = q3a(posts).select("country", "follower_count").distinct()
    top = countries.agg(F.max("follower_count").alias("follower_count"))
    return _in_order(countries.join(top, "follower_count").select("country", "follower_count"), "country")


def q4(posts: DataFrame) -> DataFrame:
    """The most popular category per age group: age_group, category, category_count."""
    popular = _most_popular_category(posts, "age_from", "age_group")
    return _in_order(popular, "age_from", "category").drop("age_from")


def q5(posts: DataFrame) -> DataFrame:
    """The median follower count per age group: age_group, median_follower_count."""
    return _in_order(_median_followers(posts, "age_from", "age_group"), "age_from").drop("age_from")


def q6(posts: DataFrame) -> DataFrame:
    """Users who joined in each year, 2015 to 2020: post_year (the course's name), number_users_joined."""
    users = _users(_in_years(posts, "join_year", JOIN_YEARS), "join_year")
    joined = users.groupBy(F.col("join_year").alias("post_year")).agg(F.count("*").alias("number_users_joined"))
    return _in_order(joined, "post_year")


def q7(posts: DataFrame) -> DataFrame:
    """The median follower count by the year users joined, 2015 to 2020: post_year, median_follower_count."""
    medians = _median_followers(_in_years(posts, "join_year", JOIN_YEARS), "join_year")
    return _in_order(medians.withColumnRenamed("join_year", "post_year"), "post_year")


def q8(posts: DataFrame) -> DataFrame:
    """The same by age group: age_group, post_year, median_follower_count."""
    medians = _median_followers(_in_years(posts, "join_year", JOIN_YEARS), "age_from", "age_group", "join_year")
    return _in_order(medians.withColumnRenamed("join_year", "post_year"), "age_from", "post_year").drop("age_from")


QUESTIONS: dict[str, Callable[[DataFrame], DataFrame]] = {
    "q1": q1,
    "q2": q2,
    "q2b": q2b,
    "q3a": q3a,
    "q3b": q3b,
    "q4": q4,
    "q5": q5,
    "q6": q6,
    "q7": q7,
    "q8": q8,
}


def _in_order(rows: DataFrame, *columns: str | Column) -> DataFrame:
    """Rows in order, by one task: an answer is small, and sorting by ranges would work it out twice."""
    return rows.repartition(1).sortWithinPartitions(*columns)


def _first_match(cases: list[tuple[Column, Column]]) -> Column:
    return F.coalesce(*(F.when(condition, value) for condition, value in cases))


def _in_years(posts: DataFrame, column: str, years: tuple[int, int]) -> DataFrame:
    return posts.where(F.col(column).between(*years))


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
