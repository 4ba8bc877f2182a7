"""The tables and the questions of the pipeline: every fact about them, once.

The seed, the emulator, the notebooks and the tool all read this module, so it uses the standard library alone.
docs/extending.md shows how to add a table and a question.

>>> TABLES["geo"].topic("0a1b2c3d4e5f"), TABLES["geo"].columns["latitude"].mysql_type
('0a1b2c3d4e5f.geo', 'FLOAT')
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class Kind(Enum):
    """What a column of a source table holds: in words, for a JSON record of it, and as a MySQL type.

    Every column but the key may also be null.
    """

    KEY = "an integer from 0 that fits an INT", "INT NOT NULL"
    TEXT = "a text", "TEXT"
    NUMBER = "a number", "FLOAT"
    INTEGER = "an integer", "INT"
    AGE = "an integer from 0 to 150", "INT"
    COUNT = "a number or a text such as 437, 12k or 5M", "TEXT"
    MOMENT = "a time YYYY-MM-DDTHH:MM:SS", "DATETIME"

    # Properties, because cloudpickle, by which streams take this module to the cluster, drops what __init__ sets.
    @property
    def words(self) -> str:
        """What it is in words, for a JSON record."""
        return self.value[0]

    @property
    def mysql_type(self) -> str:
        """Its type in MySQL."""
        return self.value[1]


@dataclass(frozen=True)
class Table:
    """One table, from MySQL to Delta.

    name          names the topic, the stream and the Delta tables
    source        the table in MySQL
    columns       the columns there, in `SELECT *` order, which are also the keys of a JSON record; the first is the key
    cleaned       the columns of the cleaned table and their Spark types
    placeholders  by source column, the texts that the source writes where it has no value
    """

    name: str
    source: str
    columns: dict[str, Kind]
    cleaned: dict[str, str]
    placeholders: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The key column of the source."""
        return next(iter(self.columns))

    @property
    def ddl(self) -> str:
        """The cleaned columns as Spark's DDL."""
        return ", ".join(f"{name} {kind}" for name, kind in self.cleaned.items())

    def topic(self, uid: str) -> str:
        """The Kafka topic of a user's records."""
        return f"{uid}.{self.name}"

    def stream(self, uid: str) -> str:
        """The Kinesis stream of a user's records."""
        return f"streaming-{uid}-{self.name}"


@dataclass(frozen=True)
class Question:
    """One question.

    name      names the Delta table of the answer
    title     the question in words
    columns   the columns of the answer, in order
    function  the function of pinterest.questions that answers it
    """

    name: str
    title: str
    columns: tuple[str, ...]
    function: str


TABLES = {
    table.name: table
    for table in (
        Table(
            name="pin",
            source="pinterest_data",
            columns={
                "index": Kind.KEY,
                "unique_id": Kind.TEXT,
                "title": Kind.TEXT,
                "description": Kind.TEXT,
                "poster_name": Kind.TEXT,
                "follower_count": Kind.COUNT,
                "tag_list": Kind.TEXT,
                "is_image_or_video": Kind.TEXT,
                "image_src": Kind.TEXT,
                "downloaded": Kind.INTEGER,
                "save_location": Kind.TEXT,
                "category": Kind.TEXT,
            },
            cleaned={
                "ind": "INT",
                "unique_id": "STRING",
                "title": "STRING",
                "description": "STRING",
                "follower_count": "INT",
                "poster_name": "STRING",
                "tag_list": "STRING",
                "is_image_or_video": "STRING",
                "image_src": "STRING",
                "save_location": "STRING",
                "category": "STRING",
            },
            placeholders={
                "title": ("No Title Data Available",),
                "description": ("No description available Story format", "No description available"),
                "poster_name": ("User Info Error",),
                "follower_count": ("User Info Error",),
                "tag_list": ("N,o, ,T,a,g,s, ,A,v,a,i,l,a,b,l,e",),
                "image_src": ("Image src error.",),
            },
        ),
        Table(
            name="geo",
            source="geolocation_data",
            columns={
                "ind": Kind.KEY,
                "timestamp": Kind.MOMENT,
                "latitude": Kind.NUMBER,
                "longitude": Kind.NUMBER,
                "country": Kind.TEXT,
            },
            cleaned={"ind": "INT", "country": "STRING", "coordinates": "ARRAY<DOUBLE>", "timestamp": "TIMESTAMP"},
        ),
        Table(
            name="user",
            source="user_data",
            columns={
                "ind": Kind.KEY,
                "first_name": Kind.TEXT,
                "last_name": Kind.TEXT,
                "age": Kind.AGE,
                "date_joined": Kind.MOMENT,
            },
            cleaned={"ind": "INT", "user_name": "STRING", "age": "INT", "date_joined": "TIMESTAMP"},
        ),
    )
}
"""The tables by their names. A post is the same row of each."""

QUESTIONS = {
    question.name: question
    for question in (
        Question(
            "q1",
            "The most popular category in each country",
            ("country", "category", "category_count"),
            "popular_category_by_country",
        ),
        Question(
            "q2",
            "Posts per category per year, 2018 to 2022",
            ("post_year", "category", "category_count"),
            "categories_by_year",
        ),
        Question(
            "q2b",
            "The most popular category of each of those years",
            ("post_year", "category", "category_count"),
            "popular_category_by_year",
        ),
        Question(
            "q3a",
            "The user with the most followers in each country",
            ("country", "poster_name", "follower_count"),
            "most_followed_by_country",
        ),
        Question(
            "q3b",
            "The country with the user with the most followers",
            ("country", "follower_count"),
            "country_of_most_followed",
        ),
        Question(
            "q4",
            "The most popular category per age group",
            ("age_group", "category", "category_count"),
            "popular_category_by_age",
        ),
        Question(
            "q5",
            "The median follower count per age group",
            ("age_group", "median_follower_count"),
            "median_followers_by_age",
        ),
        Question(
            "q6",
            "How many users joined in each year, 2015 to 2020",
            ("post_year", "number_users_joined"),
            "users_by_join_year",
        ),
        Question(
            "q7",
            "The median follower count by the year users joined, 2015 to 2020",
            ("post_year", "median_follower_count"),
            "median_followers_by_join_year",
        ),
        Question(
            "q8",
            "The median follower count by the year users joined and age group",
            ("age_group", "post_year", "median_follower_count"),
            "median_followers_by_age_and_join_year",
        ),
    )
}
"""The questions by their names, in order. The columns called `post_year` of q6 to q8 hold the year of joining."""
