"""The generated rows have every share, quantile and invariant that the contract (section 1) names."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import uuid
from collections import Counter, defaultdict
from datetime import datetime
from itertools import groupby, product
from pathlib import Path
from typing import Any, NamedTuple

import faker
import pytest
from faker.providers.address.en import Provider as AddressProvider
from faker.providers.person.en_US import Provider as PersonProvider

from foundation.profile import ROOT
from foundation.registry import TABLES
from services.mysql.seed import GENERATION, Row, rows

# Both change together: whoever changes the rows raises GENERATION, so that databases loaded before are loaded again.
PINNED = {1: "8866a71d38b565c3902a8346e59ff85e386d23cc95aac0ef5e82681f54c1e144"}
PLACEHOLDER = {
    "title": "No Title Data Available",
    "description": "No description available",
    "poster_name": "User Info Error",
    "follower_count": "User Info Error",
    "tag_list": "N,o, ,T,a,g,s, ,A,v,a,i,l,a,b,l,e",
    "image_src": "Image src error.",
}
STORY_DESCRIPTION = "No description available Story format"
PACKAGES = str(Path(faker.__file__).parent.parent)
STORY = "multi-video(story page format)"
SIZE = 11_154
SHARES: dict[tuple[str, Any], float] = {
    ("is_image_or_video", "image"): 89.6,
    ("is_image_or_video", STORY): 7.4,
    ("is_image_or_video", "video"): 3.0,
    ("title", PLACEHOLDER["title"]): 1.1,
    ("description", STORY_DESCRIPTION): 7.4,
    ("description", PLACEHOLDER["description"]): 1.7,
    ("poster_name", PLACEHOLDER["poster_name"]): 1.1,
    ("follower_count", PLACEHOLDER["follower_count"]): 1.1,
    ("tag_list", PLACEHOLDER["tag_list"]): 1.6,
    ("image_src", PLACEHOLDER["image_src"]): 2.6,
    ("downloaded", 0): 2.6,
}
"""Per cent of the rows."""
QUANTILES = {5: 22, 25: 3_000, 50: 28_000, 75: 190_000, 90: 892_000, 95: 2_000_000, 100: 15_000_000}
CHARACTERS = {
    "emoji": "[\U0001f300-\U0001faff]", "cyrillic": "[а-яА-Я]", "greek": "[α-ωΑ-Ω]", "hebrew": "[א-ת]",
    "mathematical": "[\U0001d400-\U0001d7ff]", "comma": ",", "double quote": '"', "apostrophe": "'",
}  # fmt: skip


class Pin(NamedTuple):
    ind: int
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


class Geo(NamedTuple):
    ind: int
    timestamp: datetime
    latitude: float
    longitude: float
    country: str


class User(NamedTuple):
    ind: int
    first_name: str
    last_name: str
    age: int
    date_joined: datetime


@pytest.fixture(scope="module")
def seed() -> dict[str, list[Row]]:
    return rows()


@pytest.fixture(scope="module")
def pins(seed: dict[str, list[Row]]) -> list[Pin]:
    return [Pin(*row) for row in seed["pin"]]


@pytest.fixture(scope="module")
def geo(seed: dict[str, list[Row]]) -> list[Geo]:
    return [Geo(*row) for row in seed["geo"]]


@pytest.fixture(scope="module")
def users(seed: dict[str, list[Row]]) -> list[User]:
    return [User(*row) for row in seed["user"]]


@pytest.fixture(scope="module")
def posts_of(pins: list[Pin]) -> Counter[str]:
    """Posts per poster, the unreadable and the nameless one left out."""
    found = Counter(pin.poster_name for pin in pins)
    del found["User Info Error"], found[""]
    return found


def share(pins: list[Pin], column: str, value: Any) -> float:
    """Per cent of the rows that have the value, to one decimal as in the contract."""
    return round(100 * [getattr(pin, column) for pin in pins].count(value) / len(pins), 1)


def number(count: str) -> int:
    return int(count.replace("k", "000").replace("M", "000000"))


def digest(seed: dict[str, list[Row]]) -> str:
    """Of the bytes of all rows, as one would see them in a file."""
    tables = tuple(seed.values())
    return hashlib.sha256(repr(tables).encode()).hexdigest()


# Determinism


def test_same_seed_gives_the_same_bytes(seed: dict[str, list[Row]]) -> None:
    assert digest(seed) == PINNED[GENERATION]


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13", "3.14"])
def test_bytes_do_not_depend_on_python_version_hash_seed_locale_or_time_zone(
    seed: dict[str, list[Row]], version: str
) -> None:
    program = (
        f"import sys; sys.path[:0] = {[str(ROOT), PACKAGES]!r}\n"
        "import hashlib\nfrom services.mysql.seed import rows\n"
        "seed = rows(100)\n"
        "tables = tuple(seed.values())\n"
        "print(sys.version_info[:2], hashlib.sha256(repr(tables).encode()).hexdigest())"
    )
    env = os.environ | {"PYTHONHASHSEED": "4711", "LC_ALL": "C", "TZ": "Asia/Kolkata"}
    run = subprocess.run([_python(version), "-c", program], env=env, capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["(3,", f"{version.split('.')[1]})", PINNED[GENERATION]]


def _python(version: str) -> str:
    if version == f"{sys.version_info[0]}.{sys.version_info[1]}":
        return sys.executable
    pyenv = Path.home() / ".pyenv" / "versions"
    candidates = [shutil.which(f"python{version}"), *pyenv.glob(f"{version}.*/bin/python")]
    for candidate in candidates:
        if candidate and not subprocess.run([candidate, "-c", ""], capture_output=True).returncode:
            return str(candidate)
    pytest.skip(f"no Python {version} on this machine")


def test_another_seed_gives_other_rows_of_the_same_shape(seed: dict[str, list[Row]]) -> None:
    other = rows(7)
    assert len(other["pin"]) == SIZE
    assert other["pin"][0] != seed["pin"][0]
    assert len({row[4] for row in other["pin"]}) == len({row[4] for row in seed["pin"]})


# Tables


def test_three_tables_of_the_same_posts(
    seed: dict[str, list[Row]], pins: list[Pin], geo: list[Geo], users: list[User]
) -> None:
    assert [list(table.columns) for table in TABLES.values()] == [
        ["index", *Pin._fields[1:]],
        list(Geo._fields),
        list(User._fields),
    ]
    assert [pin.ind for pin in pins] == [g.ind for g in geo] == [u.ind for u in users] == list(range(SIZE))
    assert all(value is not None for table in seed.values() for row in table for value in row)


# pinterest_data


def test_rows_lie_in_blocks_by_category(pins: list[Pin]) -> None:
    assert [(category, len(list(block))) for category, block in groupby(pins, lambda pin: pin.category)] == [
        ("art", 890),
        ("beauty", 748),
        ("christmas", 995),
        ("diy-and-crafts", 833),
        ("education", 865),
        ("event-planning", 749),
        ("finance", 784),
        ("home-decor", 865),
        ("mens-fashion", 844),
        ("quotes", 903),
        ("tattoos", 983),
        ("travel", 855),
        ("vehicles", 840),
    ]
    assert all(pin.save_location == f"Local save in /data/{pin.category}" for pin in pins)


def test_unique_ids_are_distinct_uuid4(pins: list[Pin]) -> None:
    assert len({pin.unique_id for pin in pins}) == SIZE
    assert all(str(uuid.UUID(pin.unique_id)) == pin.unique_id and pin.unique_id[14] == "4" for pin in pins)


def test_image_src_is_an_address_of_its_own_hash(pins: list[Pin]) -> None:
    address = re.compile(
        r"https://i\.pinimg\.com/(originals|videos/thumbnails/originals)"
        r"/(?P<a>..)/(?P<b>..)/(?P<c>..)/(?P=a)(?P=b)(?P=c)[0-9a-f]{26}\.(0000001\.jpg|jpg|png|webp|gif)"
    )
    addresses = [pin for pin in pins if pin.image_src not in ("", PLACEHOLDER["image_src"])]
    assert all(address.fullmatch(pin.image_src) for pin in addresses)
    assert {pin.image_src.rsplit(".", 1)[1] for pin in addresses} == {"jpg", "png", "webp", "gif"}
    for pin in addresses:
        is_video = "/videos/thumbnails/" in pin.image_src
        assert is_video == pin.image_src.endswith(".0000001.jpg") == (pin.is_image_or_video == "video")


def test_shares_of_values_and_placeholders(pins: list[Pin]) -> None:
    assert {(column, value): share(pins, column, value) for column, value in SHARES} == SHARES
    for pin in pins:
        assert len({getattr(pin, c) == PLACEHOLDER[c] for c in ("title", "poster_name", "follower_count")}) == 1
        assert (pin.is_image_or_video == STORY) == (pin.description == STORY_DESCRIPTION)
        assert pin.downloaded == (pin.image_src != PLACEHOLDER["image_src"])


def test_a_handful_of_texts_are_empty(pins: list[Pin]) -> None:
    for column in (*PLACEHOLDER, "is_image_or_video"):
        assert 1 <= sum(getattr(pin, column) == "" for pin in pins) <= 5, column


# Followers


def test_follower_counts_are_written_as_pinterest_does(pins: list[Pin]) -> None:
    kinds: Counter[str] = Counter()
    for pin in pins:
        if match := re.fullmatch(r"(0|[1-9]\d*)([kM]?)", pin.follower_count):
            kinds[match[2]] += 1
            low, high = {"": (0, 940), "k": (1, 985), "M": (1, 15)}[match[2]]
            assert low <= int(match[1]) <= high
        else:
            assert pin.follower_count in ("", "User Info Error")
    assert {kind: round(100 * count / SIZE) for kind, count in kinds.items()} == {"": 20, "k": 72, "M": 7}


def test_quantiles_of_followers(pins: list[Pin]) -> None:
    counts = sorted(number(pin.follower_count) for pin in pins if pin.follower_count not in ("", "User Info Error"))
    found = {quantile: counts[min(len(counts) * quantile // 100, len(counts) - 1)] for quantile in QUANTILES}
    assert found == QUANTILES


def test_follower_count_of_a_poster_differs_by_one_step_at_most(pins: list[Pin]) -> None:
    counts = defaultdict(set)
    for pin in pins:
        if pin.follower_count not in ("", "User Info Error"):
            counts[pin.poster_name].add(pin.follower_count)
    several = [found for found in counts.values() if len(found) > 1]
    assert several
    for found in several:
        (unit,) = {count.strip("0123456789") for count in found}
        assert sorted(int(count.removesuffix(unit)) for count in found) == [
            low := min(int(count.removesuffix(unit)) for count in found),
            low + 1,
        ]


def test_posters_with_dozens_of_posts_are_the_big_accounts(pins: list[Pin], posts_of: Counter[str]) -> None:
    followers = {pin.poster_name: number(pin.follower_count) for pin in pins if pin.poster_name in posts_of
                 and pin.follower_count}  # fmt: skip
    prolific = sorted(followers[name] for name, posts in posts_of.items() if posts >= 24 and name in followers)
    single = sorted(followers[name] for name, posts in posts_of.items() if posts == 1 and name in followers)
    assert prolific[len(prolific) // 2] > 10 * single[len(single) // 2]


def test_posters_have_a_long_tail(posts_of: Counter[str]) -> None:
    assert 5_000 <= len(posts_of) <= 5_200
    assert sum(posts == 1 for posts in posts_of.values()) > len(posts_of) / 2
    assert 10 <= sum(posts >= 24 for posts in posts_of.values()) <= 50
    assert 60 <= max(posts_of.values()) <= 120


# Texts


def test_tags_are_nine_in_title_case(pins: list[Pin]) -> None:
    for pin in pins:
        if pin.tag_list in ("", PLACEHOLDER["tag_list"]):
            continue
        tags = pin.tag_list.split(",")
        assert len(tags) == len(set(tags)) == 9
        assert all(tag == tag.strip() and all(word[0].isupper() for word in tag.split(" ")) for tag in tags)


def test_lengths_of_titles_and_descriptions(pins: list[Pin]) -> None:
    titles, descriptions = [len(pin.title) for pin in pins], [len(pin.description) for pin in pins]
    assert (round(sum(titles) / SIZE), max(titles)) == (51, 199)
    assert (round(sum(descriptions) / SIZE), max(descriptions)) == (128, 180)
    cut = [pin for pin in pins if pin.description.endswith("…\u00a0")]
    assert {len(pin.description) for pin in cut} == {178, 179}
    assert 1 / 3 < len(cut) / SIZE < 0.4


def test_unicode_quotes_and_odd_blanks_are_in_the_texts(pins: list[Pin]) -> None:
    for column, (name, characters) in product(("title", "description", "poster_name"), CHARACTERS.items()):
        assert sum(bool(re.search(characters, getattr(pin, column))) for pin in pins) >= 5, (column, name)
    assert 3 <= sum(pin.title.endswith("\n") for pin in pins) <= 10


def test_poster_names_have_blanks_at_the_ends_and_bars(posts_of: Counter[str]) -> None:
    blank = [name for name in posts_of if name != name.strip()]
    assert 4 <= len(blank) <= 10
    assert any(name.startswith(" ") for name in blank)
    assert any(name.endswith(" ") for name in blank)
    # Trimming would make one user of two.
    assert any(name.strip() in posts_of for name in blank)
    assert round(len(posts_of) / sum("|" in name for name in posts_of)) == 7


# People


def test_a_person_is_a_function_of_the_posters_name(pins: list[Pin], geo: list[Geo], users: list[User]) -> None:
    people = defaultdict(set)
    for pin, place, user in zip(pins, geo, users, strict=True):
        people[pin.poster_name].add((user[1:], place[2:]))
    assert {len(found) for found in people.values()} == {1}
    assert len(people["User Info Error"]) == 1


def test_ranges_of_people(geo: list[Geo], users: list[User]) -> None:
    assert {user.age for user in users} == set(range(20, 61))
    assert all(datetime(2015, 10, 20) <= user.date_joined < datetime(2017, 10, 20) for user in users)
    assert all(-90 <= place.latitude <= 90 and -180 <= place.longitude <= 180 for place in geo)
    assert all(float(f"{value:.6g}") == value for place in geo for value in (place.latitude, place.longitude))
    assert {user.first_name for user in users} <= set(PersonProvider.first_names)
    assert {user.last_name for user in users} <= set(PersonProvider.last_names)
    assert {place.country for place in geo} == set(AddressProvider.countries)
    assert len(set(AddressProvider.countries)) == 243


def test_single_posters_are_uniform_and_prolific_ones_are_minima(
    pins: list[Pin], geo: list[Geo], users: list[User], posts_of: Counter[str]
) -> None:
    single = [i for i, pin in enumerate(pins) if posts_of[pin.poster_name] == 1]
    prolific = [i for i, pin in enumerate(pins) if posts_of[pin.poster_name] >= 24]
    assert 39 <= sum(users[i].age for i in single) / len(single) <= 41
    assert -4 <= sum(geo[i].latitude for i in single) / len(single) <= 4
    assert sum(users[i].age for i in prolific) / len(prolific) < 22
    assert sum(geo[i].latitude for i in prolific) / len(prolific) < -80
    assert sum(users[i].date_joined.year == 2015 for i in prolific) / len(prolific) > 0.9
    unknown = next(i for i, pin in enumerate(pins) if pin.poster_name == "User Info Error")
    assert users[unknown].age == 20
    assert users[unknown].first_name == "Aaron"


def test_timestamps_are_the_posts_own_and_after_joining(geo: list[Geo], users: list[User]) -> None:
    assert all(datetime(2017, 10, 20) <= place.timestamp <= datetime(2022, 10, 20) for place in geo)
    assert all(place.timestamp > user.date_joined for place, user in zip(geo, users, strict=True))
    years = Counter(place.timestamp.year for place in geo)
    for year in (2018, 2019, 2020, 2021):
        assert 0.18 < years[year] / SIZE < 0.22
    assert len({place.timestamp for place in geo}) > 0.99 * SIZE


# Ties


def test_category_counts_tie_in_some_countries_and_others_have_one_post(pins: list[Pin], geo: list[Geo]) -> None:
    counts = Counter((place.country, pin.category) for pin, place in zip(pins, geo, strict=True))
    top = defaultdict(list)
    for (country, _), count in counts.items():
        top[country].append(count)
    assert sum(found.count(max(found)) > 1 for found in top.values()) >= 10
    assert 1 in Counter(place.country for place in geo).values()


def test_the_most_followers_are_shared_by_users_of_several_countries(pins: list[Pin], geo: list[Geo]) -> None:
    top = {
        (pin.poster_name, place.country) for pin, place in zip(pins, geo, strict=True) if pin.follower_count == "15M"
    }
    assert len({name for name, _ in top}) >= 2
    assert len({country for _, country in top}) >= 2


def test_some_countries_have_several_users_at_their_maximum(pins: list[Pin], geo: list[Geo]) -> None:
    best: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for pin, place in zip(pins, geo, strict=True):
        if pin.follower_count not in ("", "User Info Error"):
            users = best[place.country]
            users[pin.poster_name] = max(number(pin.follower_count), users.get(pin.poster_name, 0))
    assert sum(list(users.values()).count(max(users.values())) > 1 for users in best.values()) >= 3
