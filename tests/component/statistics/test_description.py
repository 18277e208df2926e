"""Requests made from the program's own description, right ones and wrong ones (schemathesis)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from support.statistics.build import directory, recent_bucket, report, row
from support.statistics.process import Statistics, statistics
from wsedge_statistics.app import build

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Statistics]:
    """The program on a laptop, where a request without a token has every right, with some counts."""
    folder: Path = tmp_path_factory.mktemp("described")
    with statistics(folder / "data") as running:
        assert (
            running.put_directory(directory(domains={"a.example": "team-a", "b.example": "team-b"})).status
            == 204
        )
        rows = [
            row(
                recent_bucket(1) - timedelta(hours=n),
                domain=domain,
                account=account,
                sentBytes=2**53 - 1 - n,
                codes={"101": n + 1, "502": 1},
            )
            for n in range(30)
            for domain, account in (("a.example", "team-a"), ("b.example", "team-b"))
        ]
        assert running.post(report(*rows)).status == 204
        yield running


schema = schemathesis.openapi.from_dict(build(None).openapi())
OPERATIONS = {
    f"{operation.method} {operation.path}": operation
    for found in schema.get_all_operations()
    if (operation := found.ok()) is not None  # type: ignore[union-attr]
}


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS.keys())
def test_every_answer_is_described(program: Statistics, operation: Any, mode: GenerationMode) -> None:
    """No 5xx, and no status, header, media type or document that the description does not have."""

    @settings(
        max_examples=15,
        deadline=None,
        derandomize=True,  # the same requests in each run, so that no fault of others is found by chance
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case: Any) -> None:
        case.call_and_validate(base_url=f"http://127.0.0.1:{program.port}", checks=CHECKS, timeout=30)

    try:
        check()
    except Unsatisfiable:
        assert mode is GenerationMode.NEGATIVE  # a request without parameters cannot be wrong
