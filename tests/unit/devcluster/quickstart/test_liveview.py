"""The page, the line and the table of the quickstart."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from wsedge_devcluster.comparison.counts import Answer, Counts
from wsedge_devcluster.quickstart.liveview import Places, Snapshot, Workload, hints, line, page, table

COUNTS = Counts(sent=1234, received=56789, opened=5, open=5)
EQUAL = Answer(sent=56789, received=1234, opened=5, switched=5)
PLACES = Places(
    kubeconfig=Path("/somewhere/kubeconfig"),
    tools=Path("/cache/bin"),
    logs=Path("/somewhere/logs"),
    relay="127.64.0.9:80",
    statistics="http://127.64.0.7:80",
)


def snapshot(answer: Answer | str = EQUAL) -> Snapshot:
    return Snapshot(
        at=datetime(2026, 11, 22, 10, 5, tzinfo=UTC),
        workloads=(Workload("quickstart", "chat-relay", 2, 2),),
        clients=COUNTS,
        comments=("哈哈哈哈",),
        answer=answer,
    )


def test_a_page_shows_workloads_clients_and_both_counts() -> None:
    """A page has workloads, clients, comments, and the counts of clients and statistics."""
    text = "\n".join(page(snapshot(), width=200))
    for part in ("quickstart/chat-relay  2/2", "5 clients", "哈哈哈哈", "56,789", "equal"):
        assert part in text


def test_hints_are_lines_to_copy() -> None:
    """The kubeconfig, the tools, the logs, the addresses; none is cut."""
    text = "\n".join(hints(PLACES))
    for part in ("KUBECONFIG=/somewhere/kubeconfig", "PATH=/cache/bin:$PATH", "/somewhere/logs"):
        assert part in text
    assert "examples/quickstart/client.py 127.64.0.9:80" in text


def test_no_line_of_a_page_is_wider_than_the_terminal() -> None:
    """Lines are cut to the terminal's columns; a wide character takes two columns."""
    lines = page(snapshot(), width=7)
    assert "  哈哈" in lines
    assert max(map(len, lines)) == 7


def test_statistics_that_do_not_answer_are_shown_as_such() -> None:
    """Without an answer the page and the line show the reason and the clients' counts."""
    for text in (
        "\n".join(page(snapshot("no answer: 503"), width=99)),
        line(snapshot("no answer: 503")),
    ):
        assert "no answer: 503" in text
        assert "56,789" in text


def test_one_line_has_both_counts() -> None:
    """Without a terminal, one line has the counts of clients and statistics."""
    assert line(snapshot()).count("56,789") == 2


def test_a_table_says_by_how_much_the_two_counts_differ() -> None:
    """Each row has `equal`, or the statistics' difference with its sign."""
    rows = table(COUNTS, Answer(sent=56780, received=1235, opened=5, switched=4))
    assert [row.rpartition("  ")[2] for row in rows[1:]] == ["-9", "+1", "equal", "-1"]
