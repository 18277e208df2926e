"""What a page says to write into a domain, or into a relay's configuration, is valid."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.operator.cluster import domain
from wsedge_operator.api.reading import refused
from wsedge_operator.api.websocket_domain import WebSocketDomain
from wsedge_relay.contract import RelayConfig

DOCS = Path(__file__).parents[3] / "docs"
_FENCED = re.compile(r"^```(?:yaml|json)?\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?<=\n\n)((?:    [^\n]*\n|\n(?=    ))+)")


def blocks() -> list[tuple[str, dict[str, Any]]]:
    """Return each block of a page that is a mapping of YAML or JSON."""
    found = []
    for page in sorted(DOCS.rglob("*.md")):
        text = page.read_text("utf-8")
        parts = [
            *_FENCED.findall(text),
            *(re.sub(r"(?m)^    ", "", part) for part in _INDENTED.findall(text)),
        ]
        for part in parts:
            try:
                documents = list(yaml.safe_load_all(part))
            except yaml.YAMLError:
                continue  # commands, or another language
            found += [(str(page.relative_to(DOCS)), each) for each in documents if isinstance(each, dict)]
    return found


def fragments() -> list[tuple[str, dict[str, Any]]]:
    """Return the parts of a WebSocketDomain's spec."""
    whole = [(page, block["spec"]) for page, block in blocks() if set(block) == {"spec"}]
    return whole + [(page, block) for page, block in blocks() if set(block) == {"relay"}]


@pytest.mark.parametrize(("page", "fragment"), fragments())
def test_a_fragment_of_a_domain_is_accepted(page: str, fragment: dict[str, Any]) -> None:
    """In a domain that is otherwise as simple as can be."""
    manifest = domain(host="chat.example.com", **fragment)
    manifest["metadata"]["namespace"] = "team-a"
    assert refused(WebSocketDomain, manifest) == [], page


def test_fragments_are_found() -> None:
    """The pages about entrances, pods and size have some."""
    pages = [page for page, _ in fragments()]
    assert (pages.count("exposure.md"), pages.count("size.md"), pages.count("pods.md")) == (6, 2, 1)


def test_the_domain_of_a_relays_configuration_is_accepted() -> None:
    """docs/relay/behaviour.md has one for Socket.IO."""
    (served,) = [block for page, block in blocks() if page == "relay/behaviour.md"]
    config = RelayConfig.model_validate({"version": 1, "generation": "page", "domains": [served]})
    assert config.domains[0].domain == "chat.example.com"
