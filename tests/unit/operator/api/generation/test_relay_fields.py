"""The tables of docs/relay/configuration.md: current, and complete."""

from __future__ import annotations

from pathlib import Path

import pytest

from wsedge_operator.api.generation.relay_fields import PAGE, SEE, main, tables, with_tables

ROOT = Path(__file__).parents[5]


def test_the_page_is_current() -> None:
    """The tables of the page are equal to those that the contract yields."""
    page = (ROOT / PAGE).read_text()
    assert with_tables(page) == page


@pytest.mark.parametrize(
    "row",
    [
        "| `heartbeatSeconds` | integer, 1 to 300 | `60` |",
        "| `origins` | list of [object](#domainsorigins), 1 to 64 | **required** |",
        "| `originHealthCheck` | [object](#domainsoriginhealthcheck) | `null` |",
        "| `limits` | [object](#domainslimits) |  |",
        "| `proxyProtocol` | `V1`, `V2` | `null` |",
        "| `version` | `1` | **required** |",
    ],
)
def test_a_row_has_type_bounds_and_default(row: str) -> None:
    """A number has its bounds, a part its link, a choice its values."""
    assert row in tables()


def test_each_pointer_is_of_a_part() -> None:
    """A renamed field does not lose its pointer to the behaviour behind it."""
    assert [path for path in SEE if f"### `{path}`" not in tables()] == []


def test_a_page_without_markers_is_refused() -> None:
    """Nothing is written over a page whose markers are gone."""
    with pytest.raises(ValueError, match="one pair of markers"):
        with_tables("# A page\n")


def test_a_stale_page_is_found_and_mended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--check` names the page and the verb; without it the page is written."""
    page = tmp_path / PAGE
    page.parent.mkdir(parents=True)
    page.write_text("before\n<!-- fields: here -->\n<!-- end -->\nafter\n")
    check, write = ["--check", f"--root={tmp_path}"], [f"--root={tmp_path}"]
    assert main(check, page) == 1
    assert f"stale: {PAGE}; run `make generate`" in capsys.readouterr().err
    assert main(write, page) == 0
    assert main(check, page) == 0
    assert page.read_text().startswith("before\n<!-- fields: here -->\n\n| field |")
