"""Titles, descriptions and tags as people write them on Pinterest, made from vocabulary.toml."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.mysql.draws import Draws

VOCABULARY: dict[str, Any] = tomllib.loads(Path(__file__).with_name("vocabulary.toml").read_text(encoding="utf-8"))
SHARED: dict[str, list[str]] = VOCABULARY["shared"]

LONGEST_TITLE = 199
LONGEST_DESCRIPTION = 180
# Pinterest cuts a description here and ends it with an ellipsis and a no-break space.
CUT = "…\u00a0"


@dataclass(frozen=True)
class Post:
    """What a post of one category says; all three are texts of the contract's shapes."""

    title: str
    description: str
    tag_list: str


def write(draws: Draws, category: str) -> Post:
    """One post of a category."""
    words = VOCABULARY["category"][category]
    topic = draws.pick(words["topics"])
    return Post(_title(draws, words, topic), _description(draws, words, topic), _tags(draws, words, topic))


def mathematical(text: str) -> str:
    """The text in mathematical bold letters, as people use them to get bold print where there is none."""
    bold = {chr(65 + i): chr(0x1D400 + i) for i in range(26)} | {chr(97 + i): chr(0x1D41A + i) for i in range(26)}
    return "".join(bold.get(letter, letter) for letter in text)


def title_case(text: str) -> str:
    """Each word with a capital first; `str.title` would also raise the s of `don't`."""
    return " ".join(word[:1].upper() + word[1:] for word in text.split(" "))


def _title(draws: Draws, words: dict[str, list[str]], topic: str) -> str:
    kind = draws.fraction()
    if kind < 0.03:
        return draws.pick(SHARED["foreign"])
    title = _filled(draws, words, topic)
    if kind < 0.06:
        return mathematical(title_case(title))
    title = title[:1].upper() + title[1:] if kind < 0.3 else title_case(title)
    if kind > 0.84:
        title = f"{title} {draws.pick(SHARED['emoji'])}"
    if 0.5 < kind < 0.75:
        title = f"{title} | {_filled(draws, words, draws.pick(words['topics']))}"
    if 0.75 < kind < 0.765:
        title = " ".join([title, *draws.distinct(words["sentences"], 3)]).replace("{topic}", topic)
    return title[:LONGEST_TITLE]


def _filled(draws: Draws, words: dict[str, list[str]], topic: str) -> str:
    adjective, adjective2 = draws.distinct(words["adjectives"], 2)
    return draws.pick(SHARED["titles"]).format(
        topic=topic,
        adjective=adjective,
        adjective2=adjective2,
        action=draws.pick(words["actions"]),
        n=3 + draws.below(48),
        year=2018 + draws.below(5),
    )


def _description(draws: Draws, words: dict[str, list[str]], topic: str) -> str:
    cut = draws.chance(0.4)
    enough = 186 if cut else 24 + draws.below(108)
    sentences = draws.distinct(words["sentences"], 4) + draws.distinct(SHARED["sentences"], 8)
    if draws.chance(0.08):
        sentences.insert(draws.below(2), draws.pick(SHARED["foreign"]))
    if draws.chance(0.2):
        sentences.insert(1 + draws.below(2), draws.pick(SHARED["emoji"]))
    text = mathematical(title_case(topic)) if draws.chance(0.03) else ""
    for sentence in sentences:
        longer = f"{text} {sentence.replace('{topic}', topic)}".lstrip()
        if not cut and len(longer) > LONGEST_DESCRIPTION:
            continue
        text = longer
        if len(text) >= enough:
            break
    return text[: 176 + draws.below(2)] + CUT if cut else text


def _tags(draws: Draws, words: dict[str, list[str]], topic: str) -> str:
    other = draws.pick([other for other in words["topics"] if other != topic])
    # A topic may be among the tags as well.
    tags = dict.fromkeys([title_case(topic), title_case(other), *draws.distinct(words["tags"], 9)])
    chosen = list(tags)[:9]
    draws.shuffle(chosen)
    return ",".join(chosen)
