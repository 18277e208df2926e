"""examples/kit: what people copy. Events for readers of any speed, and checks of hostile messages."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from kit.checks import Bucket, RefusedError, number, parse, text
from kit.history import History
from kit.rooms import Rooms


async def take(events: AsyncIterator[str], count: int) -> list[Any]:
    """Return the next events: their n, or "reset"."""
    taken = [json.loads(await anext(events)) for _ in range(count)]
    return [each.get("n", "reset") for each in taken]


def history(keep: int, events: int) -> History:
    made = History(keep)
    for n in range(1, events + 1):
        made.append({"n": n})
    return made


async def test_a_reader_slower_than_the_history_is_told_of_the_gap() -> None:
    """It gets a reset and the oldest event that is kept; memory does not grow with slow readers."""
    events = history(3, 3)
    reader = events.follow(None, recent=3)
    assert await take(reader, 2) == ["reset", 1]
    for n in range(4, 10):
        events.append({"n": n})
    assert await take(reader, 4) == ["reset", 7, 8, 9]


async def test_a_reader_resumes_after_its_last_event() -> None:
    """Nothing is missed, and nothing comes twice; new readers get the recent ones."""
    events = history(10, 6)
    reader = events.follow(None, recent=2)
    assert await take(reader, 3) == ["reset", 5, 6]
    first = json.loads(await anext(history(1, 0).follow(None, recent=0)))
    assert first == {"reset": True}
    new = events.follow(None, recent=9)
    await anext(new)
    last = json.loads(await anext(new))["id"]
    assert await take(events.follow(last, recent=0), 5) == [2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    "after",
    ["", "x", "0.1", "{epoch}.", "{epoch}.-1", "{epoch}.99", "{epoch}.\u0661", "{epoch}." + "9" * 5000],
)
async def test_an_id_that_was_never_given_begins_anew(after: str) -> None:
    """Also one of an origin that has started anew since."""
    events = history(5, 2)
    reader = events.follow(None, recent=1)
    await anext(reader)
    epoch = json.loads(await anext(reader))["id"].partition(".")[0]
    assert await take(events.follow(after.replace("{epoch}", epoch), recent=1), 2) == ["reset", 2]


REFUSED: dict[str, Callable[[], object]] = {
    "what is no JSON": lambda: parse("{"),
    "bytes that are no text": lambda: parse(b"\xff\xfe\xff"),
    "JSON that is nested without end": lambda: parse("[" * 100_000),
    "JSON that is no object": lambda: parse("[]"),
    "a text that is missing": lambda: text({}, "a", longest=5),
    "a text that is a number": lambda: text({"a": 5}, "a", longest=5),
    "a text of nothing visible": lambda: text({"a": " \x00\u202e "}, "a", longest=5),
    "a text that is too long": lambda: text({"a": "123456"}, "a", longest=5),
    "a number that is a truth": lambda: number({"a": True}, "a", least=0, most=5),
    "a number that is none": lambda: number(parse('{"a": NaN}'), "a", least=0, most=5),
    "a number without end": lambda: number(parse('{"a": 1e999}'), "a", least=0, most=5),
    "a number beyond its bounds": lambda: number({"a": 6}, "a", least=0, most=5),
    "a whole number beyond every float": lambda: number({"a": 10**400}, "a", least=0, most=5),
}


@pytest.mark.parametrize("check", REFUSED.values(), ids=REFUSED)
def test_hostile_values_are_refused(check: Callable[[], object]) -> None:
    """Each ends in RefusedError, which the client is told; nothing else ends its connection."""
    with pytest.raises(RefusedError):
        check()


def test_a_text_cannot_turn_its_direction() -> None:
    """Control characters are removed; letters of every script stay."""
    assert text({"a": " 哈\u202e哈\n "}, "a", longest=5) == "哈哈"


def test_a_bucket_has_a_burst_and_then_its_rate() -> None:
    """Two at once, then one for each half second."""
    now = 0.0
    bucket = Bucket(2, 2, lambda: now)
    bucket.take()
    bucket.take()
    with pytest.raises(RefusedError):
        bucket.take()
    now = 0.5
    bucket.take()
    with pytest.raises(RefusedError):
        bucket.take()


def rooms_of(most: int) -> Rooms[list[str]]:
    return Rooms(list[str], empty=lambda room: not room, most=most)


def write(rooms: Rooms[list[str]], *names: str) -> None:
    for name in names:
        with rooms.entered(name) as room:
            assert room is not None
            room.append(name)


def test_a_room_with_content_yields_to_another_one_when_nobody_is_in_it() -> None:
    """The oldest does, and none in which there are visitors; names of clients make at most so many rooms."""
    rooms = rooms_of(2)
    write(rooms, "a", "b")
    with rooms.entered("a") as a, rooms.entered("c") as c:
        assert (a, c) == (["a"], [])
        assert c is not None
        c.append("c")
        with rooms.entered("d") as d:
            assert d is None
    with rooms.entered("b") as b:
        assert b == []


def test_empty_rooms_erase_nothing() -> None:
    """Whoever enters every name, or stays in many, ends no lesson in which nobody is just now."""
    rooms = rooms_of(4)
    write(rooms, "lesson")
    for each in range(100):
        with rooms.entered(f"x{each}") as room:
            assert room == []
    with rooms.entered("1"), rooms.entered("2"), rooms.entered("3"), rooms.entered("4") as refused:
        assert refused is None
        with rooms.entered("lesson") as lesson:
            assert lesson == ["lesson"]
