"""Which clients may connect."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from wsedge_operator.api.spec.clients import Clients


@pytest.mark.parametrize("network", ["1::2::3/64", "1:2:3/64", ":::/0", "1:2:3:4:5:6:7:8:9/64"])
def test_a_network_that_the_pattern_accepts_is_refused(network: str) -> None:
    """The API server stores it; the operator refuses it with the pattern's text."""
    with pytest.raises(ValidationError, match="give a network as address/bits"):
        Clients.model_validate({"trustedProxies": [network]})
