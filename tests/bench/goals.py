"""Goals for the relay, beside a run's figures. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from figures import Column, Section, markdown, paired, spread

PLAIN, COMPILED = "wsedge, plain", "wsedge, compiled"
NGINX, TUNED = "nginx", "nginx, 64k buffers"
NOISE = 0.03  # counts as equal


@dataclass(frozen=True, slots=True)
class Goal:
    """A proxy's figure of a column, divided by that of `base` (None: undivided), must be at most `most`."""

    section: str
    column: str  # the beginning of its title; "": the last column
    proxy: str
    most: float
    base: str | None = NGINX
    own: bool = False  # the ratio is the column's own, such as to fewer connections


GOALS = (
    Goal("ws", "ping-pong", PLAIN, 1.15),
    Goal("ws", "ping-pong", COMPILED, 1 + NOISE),
    Goal("ws", "16 under way", PLAIN, 1.5),
    Goal("ws", "16 under way", COMPILED, 1 + NOISE),
    *(Goal("ws", "16 KiB", form, 0.2) for form in (PLAIN, COMPILED)),
    *(Goal("ws", "16 KiB", form, 1.0, TUNED) for form in (PLAIN, COMPILED)),
    *(
        Goal("wss", title, form, 1.0)
        for title in ("ping-pong", "16 under way", "16 KiB")
        for form in (PLAIN, COMPILED)
    ),
    *(
        Goal("handshakes", title, form, 1.3)
        for title in ("ws, one", "ws, 16", "wss, one", "wss, 16")
        for form in (PLAIN, COMPILED)
    ),
    *(Goal("idle", "", form, 1536, None) for form in (PLAIN, COMPILED)),
    *(Goal("many", "", form, 1 + NOISE, own=True) for form in (PLAIN, COMPILED)),
    *(Goal("reload", "closed", form, 0, None) for form in (PLAIN, COMPILED)),
)


def table(sections: list[Section]) -> str:
    """Return a Markdown table of the goals that these sections have figures for; empty without any."""
    found = {section.key: section for section in sections}
    rows = [row for goal in GOALS if goal.section in found for row in _row(goal, found[goal.section])]
    if not rows:
        return ""
    titles = ["goal", "proxy", "at most", "measured (quartiles)", "result"]
    return "### Goals\n\n" + markdown(titles, rows)


def _row(goal: Goal, section: Section) -> list[list[str]]:
    column = _column(goal, section)
    if column is None or not {goal.proxy, goal.base or goal.proxy} <= set(column.samples):
        return []
    figures = column.samples[goal.proxy]
    what = f"{section.heading}, {column.title}"
    if goal.own:
        of = column.ratio(goal.proxy)
    elif goal.base is None:
        of = spread(figures)
    else:
        of = spread(paired(figures, column.samples[goal.base]))
        what += f", ÷ {goal.base}"
    digits = 0 if goal.base is None else 2
    most, low, median, high = (f"{x:,.{digits}f}" for x in (goal.most, of.low, of.median, of.high))
    measured = median if low == high else f"{median} ({low} to {high})"
    if goal.own and goal.base in column.per:
        measured += f"; {goal.base} {column.ratio(goal.base).median:.2f}"
    return [[what, goal.proxy, most, measured, "met" if of.median <= goal.most else "**not met**"]]


def _column(goal: Goal, section: Section) -> Column | None:
    if not goal.column:
        return section.columns[-1]
    return next((column for column in section.columns if column.title.startswith(goal.column)), None)
