"""Figures of a bench and their tables in Markdown: medians, quartiles, ratios paired by round."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

Samples = dict[str, list[float]]  # by proxy name: one figure per round


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of figures, and their quartiles."""

    low: float
    median: float
    high: float


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table: figures, and their divisor per round where a ratio says more."""

    title: str
    samples: Samples
    per: Samples = field(default_factory=dict)

    def spread(self, name: str) -> Spread:
        """Return the spread of a proxy's figures."""
        return spread(self.samples[name])

    def ratio(self, name: str) -> Spread:
        """Return the spread of a proxy's ratios."""
        return spread(paired(self.samples[name], self.per[name]))


@dataclass(frozen=True, slots=True)
class Section:
    """A table with its heading; `unit` is above the names of the proxies, `note` below the table."""

    key: str
    heading: str
    unit: str
    columns: list[Column]
    note: str = ""

    def table(self) -> str:
        """Return Markdown, one row per proxy."""
        titles = [column.title for column in self.columns]
        names = dict.fromkeys(name for column in self.columns for name in column.samples)
        rows = [[name, *(cell(column, name) for column in self.columns)] for name in names]
        text = f"### {self.heading}\n\n{markdown([self.unit, *titles], rows)}"
        return f"{text}\n\n{self.note}" if self.note else text


def spread(figures: Sequence[float]) -> Spread:
    """Return median and quartiles; for a single figure all three are that figure."""
    if len(figures) == 1:
        return Spread(figures[0], figures[0], figures[0])
    return Spread(*statistics.quantiles(figures, n=4, method="inclusive"))


def paired(figures: Sequence[float], base: Sequence[float]) -> list[float]:
    """Return the ratios of figures of the same round."""
    return [one / other for one, other in zip(figures, base, strict=True)]


def against(samples: Samples, base: str) -> Samples:
    """Return the divisors of a column's samples, for ratios to one proxy."""
    return dict.fromkeys(samples, samples[base])


def number(figure: float) -> str:
    """Return a figure with the digits that its spread justifies."""
    return f"{figure:,.0f}" if figure >= 100 or figure == int(figure) else f"{figure:.2f}"


def cell(column: Column, name: str) -> str:
    """Return a proxy's median with its ratio and quartiles, or with the quartiles of the figures only."""
    if name not in column.samples:
        return ""
    text = number(column.spread(name).median)
    if name in column.per:
        ratio = column.ratio(name)
        return f"{text} · **{ratio.median:.2f}** ({ratio.low:.2f} to {ratio.high:.2f})"
    of = column.spread(name)
    return text if of.low == of.high else f"{text} ({number(of.low)} to {number(of.high)})"


def markdown(titles: list[str], rows: list[list[str]]) -> str:
    """Return a table whose columns are right-aligned except the first."""
    lines = [titles, ["---", *(["---:"] * (len(titles) - 1))], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


@dataclass
class Figures:
    """Measured figures: what, the goal at most (None: none), the figure, its unit."""

    rows: list[tuple[str, float | None, float, str]] = field(default_factory=list)

    def add(self, what: str, goal: float | None, figure: float, unit: str) -> None:
        self.rows.append((what, goal, figure, unit))
        sys.stderr.write(f"{what}: {figure:.1f} {unit}\n")

    def table(self) -> str:
        return markdown(
            ["figure", "goal, at most", "measured", "result"],
            [
                [
                    what,
                    f"{goal:g} {unit}" if goal is not None else "",
                    f"{figure:.1f} {unit}",
                    ("met" if figure <= goal else "missed") if goal is not None else "",
                ]
                for what, goal, figure, unit in self.rows
            ],
        )
