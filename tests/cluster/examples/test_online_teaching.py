"""examples/online_teaching through relays: each student has the whole outline; only the teacher writes."""

from __future__ import annotations

import pytest

from cluster.examples.conftest import Start
from support.examples import (
    ATTACK,
    Follower,
    RunningExample,
    errors_of,
    hear,
    on_a_phone,
    picture,
    say,
    until,
)

KEY = "chalk-and-talk"
LESSON = (
    ("section", "Why light bends"),
    ("note", "Mass tells space how to curve, space tells light how to go."),
    ("note", ATTACK),
    ("section", "The equation"),
    ("code", "G = 8 * pi * T"),
)


@pytest.fixture(scope="module")
def teaching(start: Start) -> RunningExample:
    return start("online-teaching")


async def test_a_late_student_gets_the_outline_so_far_and_each_line_after_a_drain(
    teaching: RunningExample,
) -> None:
    """Lines before the student came, lines from then on, and lines written while it had no connection."""
    async with teaching.connect("/lessons/late") as teacher:
        await say(teacher, teach=KEY)
        await hear(teacher, "teacher")
        for number in range(3):
            await say(teacher, kind="note", text=f"line {number}")
        for _ in range(3):
            await hear(teacher, "kind")
        student = Follower(teaching, "/lessons/late")
        async with student.running():
            await student.wait_for(1 + 3)
            await teaching.end_all_relays()
            await student.wait_for_closes(1)
            back = Follower(teaching, "/lessons/late", first={"teach": KEY})
            async with back.running():
                await back.wait_for(1 + 3 + 1)
                await back.send(kind="note", text="line 3")
                events = await student.wait_for(1 + 4)
        assert [each["text"] for each in events if "text" in each] == [f"line {n}" for n in range(4)]


async def test_only_the_teacher_writes_and_sees_hands(teaching: RunningExample) -> None:
    """A student with a false key writes nothing; its hand reaches the teacher, and no other student."""
    async with (
        teaching.connect("/lessons/hands") as teacher,
        teaching.connect("/lessons/hands") as student,
        teaching.connect("/lessons/hands") as other,
    ):
        await say(teacher, teach=KEY)
        await hear(teacher, "teacher")
        await say(student, kind="note", text="no homework")
        assert (await hear(student, "refused"))["refused"] == "only the teacher writes"
        await say(student, teach="chalk")
        assert (await hear(student, "refused"))["refused"] == "that is not the teacher's key"
        await say(student, hand="Mira")
        assert (await hear(teacher, "hand"))["hand"] == "Mira"
        await say(teacher, kind="video", text="x")
        assert "kind must be" in (await hear(teacher, "refused"))["refused"]
        await say(teacher, kind="note", text="homework")
        await hear(other, "reset")
        assert (await hear(other, ""))["text"] == "homework"


async def test_the_page_shows_the_lesson_and_runs_nothing_in_it(teaching: RunningExample) -> None:
    """Sections are in the outline, notes on the board, HTML is text; the page can teach."""
    async with teaching.page() as page, teaching.connect("/lessons/relativity") as teacher:
        await say(teacher, teach=KEY)
        await hear(teacher, "teacher")
        for kind, text in LESSON[:4]:
            await say(teacher, kind=kind, text=text)
        await until(page, "document.querySelectorAll('#outline li').length === 2")
        await page.evaluate("document.getElementById('teach').click()")
        await page.evaluate(f"document.getElementById('secret').value = '{KEY}'")
        await page.evaluate("document.getElementById('key').requestSubmit()")
        await until(page, "document.getElementById('role').textContent === 'teacher'")
        kind, text = LESSON[4]
        await page.evaluate(f"document.getElementById('kind').value = '{kind}'")
        await page.evaluate(f"document.getElementById('text').value = '{text}'")
        await page.evaluate("document.getElementById('write').requestSubmit()")
        await until(page, f"document.querySelector('#board pre')?.textContent === '{text}'")
        lines = await page.evaluate(
            "[...document.querySelectorAll('#board > *')].map((one) => one.textContent)"
        )
        assert lines == [text for _, text in LESSON]
        await picture(page, "online-teaching")
        await on_a_phone(page)
        await picture(page, "online-teaching-phone")
        assert await page.evaluate("document.title") == "Online teaching"
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert errors_of(page) == []
