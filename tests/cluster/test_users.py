"""Users of the cluster read numbers by their own rights: the API server reviews token and access."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.operator.cluster import Place, domain, plan, until
from support.statistics.process import Answer
from support.statistics.released import ask, with_setting
from wsedge_devcluster.cluster.chart import SYSTEM
from wsedge_devcluster.cluster.cluster import Cluster

STATISTICS = f"--as=system:serviceaccount:{SYSTEM}:wsedge-statistics"


@pytest.fixture(scope="module")
def address(installed: Cluster) -> Iterator[tuple[str, int]]:
    """Let users read, in the release; return the address of the statistics."""
    with with_setting(installed, "statistics.auth.users=true", "wsedge-statistics") as address:
        yield address


@pytest.fixture
def place(installed: Cluster, namespace: str) -> Place:
    return Place(installed, namespace)


def read(address: tuple[str, int], token: str, query: str = "") -> Answer:
    return ask(address, "GET", f"/v1/domains{query}", {"Authorization": f"Bearer {token}"})


def test_a_user_reads_by_the_role_view_of_a_namespace(address: tuple[str, int], place: Place) -> None:
    """With a token for the API server; without the role 403, and for a token that is none 401."""
    host = f"{place.namespace}.example.com"
    place.apply(plan(), domain(host=host))
    place.await_reason("wsd/chat", "PlanEffective", "Effective")
    for name in ("viewer", "stranger"):
        place.kubectl("create", "serviceaccount", name)
    subject = f"{place.namespace}:viewer"
    place.kubectl("create", "rolebinding", "viewer", "--clusterrole=view", f"--serviceaccount={subject}")
    viewer, stranger = (place.kubectl("create", "token", name).strip() for name in ("viewer", "stranger"))
    query = f"?account={place.namespace}"

    def listed() -> bool:
        answer = read(address, viewer, query)
        return answer.status == 200 and [each["domain"] for each in answer.json["domains"]] == [host]

    # the aggregated role, the right and the Directory each take a moment; a refusal is remembered for 30 s
    until("the domain is listed", listed, seconds=90)
    for token, asked, status in (
        (viewer, "?account=default", 403),
        (viewer, "?account=nowhere", 403),
        (viewer, "", 400),
        (stranger, query, 403),
        (f"{viewer[:-8]}AAAAAAAA", query, 401),
        ("nonsense", query, 401),
    ):
        assert read(address, token, asked).status == status, (asked, status)


RIGHTS = {
    "whose a token is": ("create", "tokenreviews.authentication.k8s.io"),
    "what a user may read": ("create", "subjectaccessreviews.authorization.k8s.io"),
    "which life a namespace has": ("get", "namespaces"),
}


def test_the_statistics_get_no_further_right(address: tuple[str, int], installed: Cluster) -> None:
    """Three rights, and neither to list namespaces nor to impersonate."""
    del address
    for verb, resource in RIGHTS.values():
        assert installed.kubectl("auth", "can-i", verb, resource, STATISTICS).strip() == "yes"
    for verb, resource in (("list", "namespaces"), ("impersonate", "users"), ("get", "pods")):
        with pytest.raises(Exception, match="no"):
            installed.kubectl("auth", "can-i", verb, resource, STATISTICS, "--all-namespaces")
