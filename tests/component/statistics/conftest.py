"""A running process, alone or with a cluster's keys."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.statistics import build
from support.statistics.cluster import Signer, key_server
from support.statistics.fixtures import ADMIN, OPERATOR, Cluster
from support.statistics.process import Statistics, statistics


@pytest.fixture(autouse=True)
def present() -> None:
    """Have recent buckets be recent for this test."""
    build.begin_test()


@pytest.fixture
def laptop(tmp_path: Path) -> Iterator[Statistics]:
    """The program without an issuer: no token is required."""
    with statistics(tmp_path / "data") as running:
        yield running


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """The program with the verification of tokens."""
    signer, elliptic = Signer("first"), Signer("elliptic", algorithm="ES256")
    with key_server(tmp_path, signer, elliptic) as keys:
        subjects = ("--operator-subject", OPERATOR, "--admin-subject", ADMIN)
        with statistics(tmp_path / "data", *keys.arguments, *subjects) as running:
            yield Cluster(running, keys, signer, elliptic)
