"""The seed data: three tables of 11,154 rows, generated, the same bytes for the same seed (contract, section 1).

>>> len(rows()["pin"]), rows()["user"][0][1]
(11154, 'Valerie')
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

from foundation.registry import TABLES
from services.mysql.draws import Draws
from services.mysql.people import UNKNOWN, Poster, nobody, one_step, posters
from services.mysql.texts import LONGEST_TITLE, write

SEED = 100
# Raise it when the same seed gives other rows: databases loaded before are then loaded again.
GENERATION = 1

CATEGORIES = {
    "art": 890,
    "beauty": 748,
    "christmas": 995,
    "diy-and-crafts": 833,
    "education": 865,
    "event-planning": 749,
    "finance": 784,
    "home-decor": 865,
    "mens-fashion": 844,
    "quotes": 903,
    "tattoos": 983,
    "travel": 855,
    "vehicles": 840,
}
POSTS = sum(CATEGORIES.values())

PLACEHOLDERS = TABLES["pin"].placeholders
IMAGE, STORY, VIDEO = "image", "multi-video(story page format)", "video"

# How many rows of each. A row whose poster could not be read lacks title, description, tags and image as well, as a
# page that failed to load does; those rows are not counted here.
STORIES, VIDEOS, ONLY_DESCRIPTIONS_LACKING, ONLY_TAGS_LACKING, ONLY_IMAGES_LACKING = 825, 335, 67, 55, 167
TRAILING_NEWLINES = 5
# Rows with an empty text, besides the two posts of the poster whose name is empty.
EMPTY = {"title": 3, "description": 3, "follower_count": 2, "tag_list": 2, "is_image_or_video": 4, "image_src": 2}

FIRST_POST = datetime(2017, 10, 20)
POST_SECONDS = int((datetime(2022, 10, 20) - FIRST_POST).total_seconds())

Row = tuple[Any, ...]


def rows(seed: int = SEED) -> dict[str, list[Row]]:
    """All rows by the table's name; the nth of each belong together. Takes one to two seconds.

    A row is a tuple in `SELECT *` order. INT is int, TEXT str, FLOAT a float of six significant digits, DATETIME a
    datetime without zone (UTC).
    """
    owners = _owners(seed)
    return {
        "pin": [tuple(vars(pin).values()) for pin in _pins(seed, owners)],
        "geo": _places(seed, owners),
        "user": [
            (ind, person.first_name, person.last_name, person.age, person.date_joined)
            for ind, person in enumerate(poster.person for poster in owners)
        ],
    }


def _places(seed: int, owners: list[Poster]) -> list[Row]:
    draws = Draws(seed, "timestamps")
    moments = (FIRST_POST + timedelta(seconds=draws.below(POST_SECONDS)) for _ in owners)
    return [
        (ind, moment, poster.person.latitude, poster.person.longitude, poster.person.country)
        for ind, (poster, moment) in enumerate(zip(owners, moments, strict=False))
    ]


def _owners(seed: int) -> list[Poster]:
    """The poster of each row. A poster's posts are mostly in one category."""
    draws, known = Draws(seed, "owners"), posters(seed)
    blocks: dict[str, list[Poster]] = {category: [] for category in CATEGORIES}

    def category_with_room() -> str:
        place = draws.below(sum(CATEGORIES[c] - len(posts) for c, posts in blocks.items()))
        for category, posts in blocks.items():
            place -= CATEGORIES[category] - len(posts)
            if place < 0:
                return category
        raise AssertionError("more posts than rows")

    # Most prolific first: whoever posts much still finds room in the own category.
    for poster in sorted([*known, *nobody(seed)], key=lambda poster: -poster.posts):
        home = category_with_room()
        for _ in range(poster.posts):
            at_home = len(blocks[home]) < CATEGORIES[home] and poster.name != UNKNOWN and draws.chance(0.8)
            blocks[home if at_home else category_with_room()].append(poster)
    for posts in blocks.values():
        draws.shuffle(posts)
    return [poster for posts in blocks.values() for poster in posts]


@dataclass
class _Pin:
    """A row of pinterest_data while it is being made; the fields in `SELECT *` order."""

    index: int
    unique_id: str
    title: str
    description: str
    poster_name: str
    follower_count: str
    tag_list: str
    is_image_or_video: str
    image_src: str
    downloaded: int
    save_location: str
    category: str


def _pins(seed: int, owners: list[Poster]) -> list[_Pin]:
    texts, files, draws = Draws(seed, "texts"), Draws(seed, "files"), Draws(seed, "shapes")
    categories = [category for category, size in CATEGORIES.items() for _ in range(size)]
    media = _media(draws, owners)
    no_story = PLACEHOLDERS["description"][0]
    pins = []
    for index, (category, poster) in enumerate(zip(categories, owners, strict=True)):
        post = write(texts, category)
        followers = poster.follower_count
        if poster.name != UNKNOWN and poster.posts > 1 and draws.chance(0.05):
            followers = one_step(followers)
        pins.append(
            _Pin(
                index=index,
                unique_id=str(UUID(int=files.bits(128), version=4)),
                title=post.title,
                description=no_story if media[index] == STORY else post.description,
                poster_name=poster.name,
                follower_count=followers,
                tag_list=post.tag_list,
                is_image_or_video=media[index],
                image_src=_image_src(files, media[index]),
                downloaded=1,
                save_location=f"Local save in /data/{category}",
                category=category,
            )
        )
    _remove_values(draws, pins)
    return pins


def _media(draws: Draws, owners: list[Poster]) -> list[str]:
    rest = [index for index, poster in enumerate(owners) if poster.name != UNKNOWN]
    draws.shuffle(rest)
    media = [IMAGE] * len(owners)
    for index in rest[:STORIES]:
        media[index] = STORY
    for index in rest[STORIES : STORIES + VIDEOS]:
        media[index] = VIDEO
    return media


def _image_src(files: Draws, media: str) -> str:
    name = f"{files.bits(128):032x}"
    folder = f"{name[:2]}/{name[2:4]}/{name[4:6]}/{name}"
    if media == VIDEO:
        return f"https://i.pinimg.com/videos/thumbnails/originals/{folder}.0000001.jpg"
    kind = files.fraction()
    extension = "jpg" if kind < 0.82 else "png" if kind < 0.95 else "gif" if kind < 0.98 else "webp"
    return f"https://i.pinimg.com/originals/{folder}.{extension}"


def _remove_values(draws: Draws, pins: list[_Pin]) -> None:
    """Placeholders, empty texts and odd blanks, on exact numbers of rows."""
    failed = [pin for pin in pins if pin.poster_name == UNKNOWN]
    whole = [pin for pin in pins if pin.poster_name != UNKNOWN]
    draws.shuffle(whole)

    def some(count: int, where: Callable[[_Pin], bool] = lambda pin: True) -> list[_Pin]:
        """Rows that still have all their texts: no row is taken twice."""
        found = list(islice(filter(where, whole), count))
        taken = {pin.index for pin in found}
        whole[:] = [pin for pin in whole if pin.index not in taken]
        return found

    for pin in failed:
        (pin.title,) = PLACEHOLDERS["title"]
    for pin in failed + some(ONLY_DESCRIPTIONS_LACKING, lambda pin: pin.is_image_or_video != STORY):
        pin.description = PLACEHOLDERS["description"][1]
    for pin in failed + some(ONLY_TAGS_LACKING):
        (pin.tag_list,) = PLACEHOLDERS["tag_list"]
    for pin in failed + some(ONLY_IMAGES_LACKING):
        (pin.image_src,), pin.downloaded = PLACEHOLDERS["image_src"], 0
    for column, count in EMPTY.items():
        for pin in some(count, lambda pin: pin.is_image_or_video == IMAGE):
            setattr(pin, column, "")
    for pin in some(TRAILING_NEWLINES, lambda pin: len(pin.title) < LONGEST_TITLE):
        pin.title += "\n"
