"""Settings of pods: how a domain's and the operator's are merged."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsedge_operator.api.spec.pod import NO_POD_SETTINGS, RelayPod

SSD = {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}
ON_SSD = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [SSD]}}
APART = {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "kubernetes.io/hostname"}]}

MERGED: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "nothing over a default is the default": (
        {},
        {"labels": {"a": "1"}, "tolerations": [{"operator": "Exists"}]},
        {"labels": {"a": "1"}, "tolerations": [{"operator": "Exists"}]},
    ),
    "maps merge by key, and the domain's value wins": (
        {"labels": {"a": "1"}, "annotations": {"b": "2"}, "nodeSelector": {"c": "3"}},
        {"labels": {"a": "0", "x": "0"}, "annotations": {"y": "0"}, "nodeSelector": {"c": "0"}},
        {"labels": {"a": "1", "x": "0"}, "annotations": {"b": "2", "y": "0"}, "nodeSelector": {"c": "3"}},
    ),
    "lists replace": (
        {"tolerations": [{"key": "a", "operator": "Exists"}], "imagePullSecrets": []},
        {"tolerations": [{"operator": "Exists"}], "imagePullSecrets": [{"name": "registry"}]},
        {"tolerations": [{"key": "a", "operator": "Exists"}], "imagePullSecrets": []},
    ),
    "values replace": (
        {"priorityClassName": "edge", "terminationGracePeriodSeconds": 100},
        {"priorityClassName": "low", "terminationGracePeriodSeconds": 600},
        {"priorityClassName": "edge", "terminationGracePeriodSeconds": 100},
    ),
    "the parts of an affinity are taken one by one": (
        {"affinity": {"podAntiAffinity": APART}},
        {"affinity": {"nodeAffinity": ON_SSD, "podAntiAffinity": {}}},
        {"affinity": {"nodeAffinity": ON_SSD, "podAntiAffinity": APART}},
    ),
    "an affinity without a default": (
        {"affinity": {"podAntiAffinity": APART}},
        {},
        {"affinity": {"podAntiAffinity": APART}},
    ),
}


@pytest.mark.parametrize(("own", "default", "merged"), MERGED.values(), ids=MERGED.keys())
def test_settings_over_a_default(
    own: dict[str, Any], default: dict[str, Any], merged: dict[str, Any]
) -> None:
    """A domain's settings and the operator's default make the settings of the pods."""
    found = RelayPod.model_validate(own).over(RelayPod.model_validate(default))
    assert found.model_dump(mode="json", exclude_none=True) == merged


words = st.sampled_from(["a", "b", "c"])
pods = st.builds(
    RelayPod,
    labels=st.none() | st.dictionaries(words, words),
    priorityClassName=st.none() | words,
    terminationGracePeriodSeconds=st.none() | st.integers(45, 99),
)


@given(pods, pods, pods)
def test_merging_is_associative_and_nothing_is_neutral(one: RelayPod, two: RelayPod, three: RelayPod) -> None:
    """In whatever order defaults are merged, the result is the same; no settings change nothing."""
    assert one.over(two).over(three) == one.over(two.over(three))
    assert one.over(NO_POD_SETTINGS) == NO_POD_SETTINGS.over(one) == one
