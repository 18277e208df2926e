"""BillingPlan accepts and refuses the same manifests as the API server, with the same texts."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from support.operator.manifests.billing_plans import INVALID_PLANS, VALID_PLANS
from support.operator.manifests.manifest import PLAN, Invalid, changed
from wsedge_operator.api.billing_plan import BillingCycle, BillingPlan, MeteringMethod
from wsedge_operator.api.reading import refused


@pytest.mark.parametrize("changes", VALID_PLANS.values(), ids=VALID_PLANS.keys())
def test_valid(changes: dict[str, Any]) -> None:
    """The model accepts a valid manifest, and its JSON parses to an equal model."""
    manifest = changed(PLAN, changes)
    model = BillingPlan.model_validate_json(json.dumps(manifest), strict=True)
    assert BillingPlan.model_validate_json(model.model_dump_json()) == model


@pytest.mark.parametrize("invalid", INVALID_PLANS.values(), ids=INVALID_PLANS.keys())
def test_invalid(invalid: Invalid) -> None:
    """The model refuses an invalid manifest with the rule and the field."""
    lines = refused(BillingPlan, changed(PLAN, invalid.changes))
    dotted = [re.sub(r"\[(\d+)\]", r".\1", line) for line in lines]
    text = invalid.model_text or invalid.text
    assert any(text in line and invalid.field in line for line in dotted), lines


@pytest.mark.parametrize("method", MeteringMethod)
def test_each_method_has_its_cycles(method: MeteringMethod) -> None:
    """Traffic goes with both cycles, the daily peak with days, all others with months."""
    if method is MeteringMethod.TRAFFIC:
        assert method.cycle is None
    else:
        assert method.cycle == (BillingCycle.MONTHLY if method.startswith("Month") else BillingCycle.DAILY)
