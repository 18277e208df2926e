"""docs/troubleshooting.md has each status, close code and reason of the relay itself, and no other."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import wsedge_relay
from wsedge_relay.errors import OriginError, OriginsFailedError
from wsedge_relay.process.relay_process import CLOSE_REASON
from wsedge_relay.pump import frames
from wsedge_relay.telemetry.counters import DomainCounters
from wsedge_relay.telemetry.families import distributions, families
from wsedge_relay.tunnel.shedding import SHED_REASON

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text()
PACKAGE = Path(wsedge_relay.__path__[0])
REFUSALS = ("HandshakeRefusedError", "_refused", "handshake")


def rows(table: str) -> list[list[str]]:
    """Return the cells of a table of the page, without its head."""
    text = PAGE.split(f"<!-- {table} -->\n")[1].split("<!-- end -->")[0]
    return [re.split(r" \| ", line.strip("| ")) for line in text.strip().splitlines()[2:]]


def names(table: str) -> list[str]:
    """Return the first cells of a table, without their backticks."""
    return [cells[0].strip("`") for cells in rows(table)]


def calls(*functions: str) -> Iterator[tuple[str, ast.Call]]:
    """Yield each call of these functions in the relay, with the function that makes it."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for scope in ast.walk(ast.parse(path.read_text())):
            if not isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for node in ast.walk(scope):
                if isinstance(node, ast.Call) and _name(node) in functions:
                    yield f"{path.stem}.{scope.name}", node


def _name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def literal(node: ast.expr | None) -> object:
    """Return the value of a literal, else None."""
    return node.value if isinstance(node, ast.Constant) else None


def keyword(call: ast.Call, name: str, default: str | int) -> ast.expr:
    """Return the argument of a call, or its default."""
    return next((one.value for one in call.keywords if one.arg == name), ast.Constant(default))


def made_refusals() -> Iterator[tuple[int, str]]:
    """Yield the status and reason of each refusal in the relay's sources."""
    for place, call in calls(*REFUSALS):
        if len(call.args) < 2:
            continue
        status, reason = (literal(argument) for argument in call.args[:2])
        if isinstance(status, int) and isinstance(reason, str):
            yield status, reason
        else:
            assert place in COMPUTED, f"{place}: a refusal whose status or reason is no literal"
            yield from COMPUTED[place]
    for place, call in calls("BadHeadError"):
        reason = literal(keyword(call, "reason", "head"))
        status = keyword(call, "status", 400)
        assert isinstance(reason, str), place
        for node in (status.body, status.orelse) if isinstance(status, ast.IfExp) else (status,):
            yield int(str(literal(node))), reason
    yield from (
        (OriginsFailedError([OriginError(word, "")]).status, "origin") for word in ("timeout", "refused")
    )


# Where a refusal is computed: the pairs that the code there can make.
COMPUTED: dict[str, list[tuple[int, str]]] = {
    "limits._refused": [],  # the callers' literals
    "connection._count_answer": [],  # counts an answer that was made elsewhere
    "relay.admit": [(503, "draining"), (503, "disabled")],
    "connection._serve_request": [],  # BadHeadError
    "plain_request.refused_body": [(400, "body")],  # BadBodyError's default
}


def origin_reasons() -> list[str]:
    """Return the reasons of a failed origin, as the error's docstring has them."""
    sentence = str(inspect.getdoc(OriginError)).partition("is one of ")[2].partition(".")[0]
    return re.split(r",\s+", sentence)


def test_every_refusal_is_explained_and_no_other() -> None:
    """The statuses with their reasons on the page are those in the relay's sources."""
    explained = [(int(cells[0]), cells[1].strip("`")) for cells in rows("refusals")]
    assert len(explained) == len(set(explained))
    assert set(explained) == set(made_refusals())


def test_every_reason_of_a_failed_origin_is_explained() -> None:
    """The table has the reasons of OriginError."""
    assert names("origins") == origin_reasons()


def test_every_close_code_that_a_client_gets_is_explained() -> None:
    """The table has the relay's codes, and 1006, which is the absence of one; 1011 goes to origins only."""
    made = {frames.GOING_AWAY, frames.PROTOCOL_ERROR, *frames.CLOSE_CODES.values()}
    assert {int(name) for name in names("codes")} == {*made, 1006}
    assert str(frames.INTERNAL_ERROR) in PAGE


def test_every_rule_of_a_violation_is_with_its_code() -> None:
    """A row about a violation has the rules that are answered by its code."""
    cells = {int(one[0]): one[2] for one in rows("codes")}
    for number, rule in frames.VIOLATIONS.items():
        assert f"`{rule}`" in cells[frames.CLOSE_CODES.get(number, frames.PROTOCOL_ERROR)], rule


def test_every_reason_of_an_end_is_explained_and_no_other() -> None:
    """The reasons on the page are the words in the relay's sources."""
    made = {SHED_REASON, CLOSE_REASON, "end", "reset", "broken"}  # the last three are chosen in _pass_end
    for _, call in calls("close", "set_ending", "_give_up_leg"):
        made |= {word for word in map(literal, call.args[1:3]) if isinstance(word, str)}
    tree = ast.parse((PACKAGE / "tunnel" / "tunnels.py").read_text())
    made |= {
        str(literal(node.args[1]))
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and _name(node) == "Ending"
    }
    assert set(names("endings")) == made - {"client", "origin", "relay", ""}


def test_the_metrics_on_the_page_exist() -> None:
    """Each name with an underscore is a metric of the relay or the statistics, or a word of the log."""
    counters = {"d": DomainCounters()}
    known = {one.name for one in families(counters)} | {one.name for one in distributions(counters)}
    quoted = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", PAGE))
    statistics = {f"`{word.removeprefix('wsedge_statistics_')}`" for word in quoted if "statistics" in word}
    own = {word.removeprefix("wsedge_relay_").removesuffix("_total") for word in quoted}
    page = (ROOT / "docs" / "statistics.md").read_text()
    assert [word for word in statistics if word not in page] == []
    sources = "".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    rest = {word for word in own - known if "statistics" not in word} - NGINX
    assert [word for word in rest if f'"{word}"' not in sources] == []
    assert {"handshake_refusals", "ended_connections", "frame_violations"} <= own & known


# A setting of a peer.
NGINX = {"proxy_http_version"}


def test_the_log_lines_on_the_page_exist() -> None:
    """Each event that the page filters by is one of the relay's log."""
    sources = "".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    events = re.findall(r'--event "([^"]+)"', PAGE) + re.findall(
        r"`(usage report failed|close requested)`", PAGE
    )
    assert len(events) == 3
    assert [event for event in events if f'"{event}"' not in sources] == []


def test_the_fields_on_the_page_exist() -> None:
    """Each field of a WebSocketDomain is in the reference."""
    reference = (ROOT / "docs" / "reference.md").read_text()
    fields = set(re.findall(r"`(spec\.[\w.]+)`", PAGE))
    assert len(fields) > 15
    assert [field for field in sorted(fields) if f"| `{field}` |" not in reference] == []
