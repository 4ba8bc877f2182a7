"""The posters: who they are, how many posts they have, how many followers, and the person behind each.

A person is a function of the poster's name. Every attribute is the column-wise minimum over as many independent draws
as the poster has posts (contract, section 1), so that prolific posters are 20, "Aaron", from Afghanistan or Albania.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from faker.providers.address.en import Provider as AddressProvider
from faker.providers.person.en_US import Provider as PersonProvider

from foundation.registry import TABLES
from services.mysql.draws import Draws
from services.mysql.texts import SHARED, mathematical

(UNKNOWN,) = TABLES["pin"].placeholders["poster_name"]
UNKNOWN_POSTS = 123
NAMELESS_POSTS = 2
# (posts, posters with so many): a long tail, 5,100 posters with 11,029 posts.
POSTS = (
    *((1, 3350), (2, 800), (3, 340), (4, 185), (5, 110), (6, 75), (7, 52), (8, 40), (9, 30), (10, 24), (12, 24)),
    *((14, 16), (17, 12), (20, 10), (24, 8), (28, 7), (34, 5), (40, 4), (48, 3), (56, 2), (64, 1), (81, 1), (90, 1)),
)
# Followers at each quantile of the posts. Straight lines in between: no library's logarithm has a say.
FOLLOWERS = (
    *((0.0, 0), (0.045, 22), (0.055, 22), (0.1, 110), (0.15, 380), (0.201, 940), (0.2011, 1_000), (0.24, 3_000)),
    *((0.26, 3_000), (0.3, 5_000), (0.35, 8_000), (0.4, 12_000), (0.45, 19_000), (0.49, 28_000), (0.51, 28_000)),
    *((0.55, 42_000), (0.6, 61_000), (0.65, 91_000), (0.7, 133_000), (0.74, 190_000), (0.76, 190_000)),
    *((0.8, 288_000), (0.85, 492_000), (0.89, 892_000), (0.91, 892_000), (0.929, 985_900), (0.9291, 1_000_000)),
    *((0.94, 2_000_000), (0.96, 2_000_000), (0.97, 3_000_000), (0.985, 5_000_000), (0.995, 9_000_000)),
    (1.0, 14_000_000),
)
MOST_FOLLOWERS = "15M"
MOST_FOLLOWED = 3
LONELY_COUNTRIES = 3

COUNTRIES = tuple(dict.fromkeys(AddressProvider.countries))
FIRST_NAMES = tuple(PersonProvider.first_names)
LAST_NAMES = tuple(PersonProvider.last_names)
OLDEST_JOIN = datetime(2015, 10, 20)
JOIN_SECONDS = int((datetime(2017, 10, 20) - OLDEST_JOIN).total_seconds())


@dataclass(frozen=True)
class Person:
    """What user_data and geolocation_data say of a poster; degrees have six significant digits."""

    first_name: str
    last_name: str
    age: int
    date_joined: datetime
    country: str
    latitude: float
    longitude: float


@dataclass
class Poster:
    """A poster_name with its number of posts, its follower_count (text, as Pinterest shows it) and its person."""

    name: str
    posts: int
    person: Person
    follower_count: str = UNKNOWN


def posters(seed: int) -> list[Poster]:
    """All posters that have a name; the unknown and the nameless one come from `nobody`."""
    names, draws = _names(seed), Draws(seed, "people")
    sizes = [posts for posts, count in POSTS for _ in range(count)]
    lonely = draws.distinct(COUNTRIES, LONELY_COUNTRIES)
    everywhere = [country for country in COUNTRIES if country not in lonely]
    found = [Poster(name, size, _person(draws, size, everywhere)) for name, size in zip(names, sizes, strict=True)]
    # Countries with a single post: the first posters have one each.
    for poster, country in zip(found, lonely, strict=False):
        poster.person = replace(poster.person, country=country)
    _follow(seed, found)
    return found


def nobody(seed: int) -> tuple[Poster, Poster]:
    """The poster `User Info Error`, one person like any other, and the one whose name is the empty text."""
    draws = Draws(seed, "nobody")
    return (
        Poster(UNKNOWN, UNKNOWN_POSTS, _person(draws, UNKNOWN_POSTS, COUNTRIES)),
        Poster("", NAMELESS_POSTS, _person(draws, NAMELESS_POSTS, COUNTRIES), "2k"),
    )


def one_step(follower_count: str) -> str:
    """The count one step lower in its unit, as it was on another day: `12k` → `11k`, `437` → `436`."""
    unit = follower_count[-1] if follower_count[-1] in "kM" else ""
    number = int(follower_count.removesuffix(unit)) - 1
    return f"{number}{unit}" if number > 0 else follower_count


def _person(draws: Draws, posts: int, countries: tuple[str, ...] | list[str]) -> Person:
    times = range(posts)
    return Person(
        first_name=min(draws.pick(FIRST_NAMES) for _ in times),
        last_name=min(draws.pick(LAST_NAMES) for _ in times),
        age=min(20 + draws.below(41) for _ in times),
        date_joined=OLDEST_JOIN + timedelta(seconds=min(draws.below(JOIN_SECONDS) for _ in times)),
        country=min(draws.pick(countries) for _ in times),
        latitude=float(f"{min(draws.fraction() * 180 - 90 for _ in times):.6g}"),
        longitude=float(f"{min(draws.fraction() * 360 - 180 for _ in times):.6g}"),
    )


def _follow(seed: int, found: list[Poster]) -> None:
    """Followers by rank: who posts much tends to be big, and several in different countries share the top."""
    draws = Draws(seed, "followers")
    rank = {id(poster): 0.8 * draws.fraction() + poster.posts / (poster.posts + 15) for poster in found}
    ranked = sorted(found, key=lambda poster: rank[id(poster)])
    total, seen = sum(poster.posts for poster in found), 0
    for poster in ranked:
        poster.follower_count = _count((seen + poster.posts / 2) / total)
        seen += poster.posts
    top: list[Poster] = []
    for poster in [ranked[-1], *reversed([poster for poster in ranked if poster.posts == 1])]:
        if len(top) < MOST_FOLLOWED and poster.person.country not in [other.person.country for other in top]:
            poster.follower_count = MOST_FOLLOWERS
            top.append(poster)


def _count(quantile: float) -> str:
    above = next(i for i, (at, _) in enumerate(FOLLOWERS) if at >= quantile)
    (start, low), (end, high) = FOLLOWERS[max(above - 1, 0)], FOLLOWERS[above]
    number = int(low + (high - low) * (quantile - start) / (end - start)) if end > start else low
    if number < 1_000:
        return str(min(number, 940))
    return f"{number // 1_000}k" if number < 1_000_000 else f"{number // 1_000_000}M"


def _names(seed: int) -> list[str]:
    draws, names = Draws(seed, "names"), dict[str, None]()
    count = sum(posters for _, posters in POSTS)
    while len(names) < count:
        name = _tagged(draws) if len(names) % 7 == 3 else _plain(draws)
        names.setdefault(name)
    found = list(names)
    # Blanks at the ends are real and stay (contract, section 6), even where the name is another's without them.
    for position in range(3, 9):
        found[position * 600] = f" {found[position * 600]}" if position % 2 else f"{found[position * 600]} "
    found[1500] = f"{found[1499]} "
    draws.shuffle(found)
    return found


def _tagged(draws: Draws) -> str:
    bar = "|" if draws.chance(0.1) else " | "
    return f"{_plain(draws)}{bar}{draws.pick(SHARED['taglines'])}"


def _plain(draws: Draws) -> str:
    kind = draws.fraction()
    person = f"{draws.pick(FIRST_NAMES)} {draws.pick(LAST_NAMES)}"
    if kind < 0.5:
        return person
    if kind < 0.58:
        return f"{person.replace(' ', '').lower()}{draws.below(100)}"
    if kind < 0.61:
        return mathematical(person)
    if kind < 0.65:
        return f"{draws.pick(SHARED['names_foreign'])} {draws.pick(SHARED['emoji'])}"
    if kind < 0.66:
        return draws.pick(SHARED["names_foreign"])
    if kind < 0.7:
        return f"{person.split()[1]}'s {draws.pick(SHARED['name_last'])}"
    if kind < 0.72:
        first, last = person.split()
        return f'{first} "{draws.pick(SHARED["name_middle"])}" {last}'
    return " ".join(draws.pick(SHARED[part]) for part in ("name_first", "name_middle", "name_last"))
