from __future__ import annotations

import pytest

from support.devcluster import Namespace
from wsedge_devcluster.cluster.cluster import Cluster


@pytest.fixture
def space(cluster: Cluster, namespace: str) -> Namespace:
    """Kubectl in the test's own namespace."""
    return Namespace(cluster, namespace)
