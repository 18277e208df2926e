"""WebSocketDomain accepts and refuses the same manifests as the API server, with the same texts."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from support.operator.manifests.domains import INVALID_DOMAINS, VALID_DOMAINS
from support.operator.manifests.manifest import DOMAIN, Invalid, changed
from wsedge_operator.api.reading import refused
from wsedge_operator.api.websocket_domain import WebSocketDomain


@pytest.mark.parametrize("changes", VALID_DOMAINS.values(), ids=VALID_DOMAINS.keys())
def test_valid(changes: dict[str, Any]) -> None:
    """The model accepts a valid manifest, and its JSON parses to an equal model."""
    manifest = changed(DOMAIN, changes)
    model = WebSocketDomain.model_validate_json(json.dumps(manifest), strict=True)
    assert WebSocketDomain.model_validate_json(model.model_dump_json()) == model


@pytest.mark.parametrize("invalid", INVALID_DOMAINS.values(), ids=INVALID_DOMAINS.keys())
def test_invalid(invalid: Invalid) -> None:
    """The model refuses an invalid manifest with the rule and the field."""
    lines = refused(WebSocketDomain, changed(DOMAIN, invalid.changes))
    dotted = [re.sub(r"\[(\d+)\]", r".\1", line) for line in lines]
    text = invalid.model_text or invalid.text
    assert any(text in line and invalid.field in line for line in dotted), lines
