"""Whether a change of the operator replaces the pods now, or the domain waits for its turn."""

from __future__ import annotations

import copy
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.operator.snapshots import NOW, answer, applied, kinds, live_domain, message, served
from wsedge_operator.api.spec.pod import RelayPod
from wsedge_operator.api.websocket_domain import WebSocketDomain, WebSocketDomainSpec
from wsedge_operator.desired.deployment import RelayImage, deployment
from wsedge_operator.desired.digest import with_digest
from wsedge_operator.desired.exact import template_differences
from wsedge_operator.desired.pods_digest import asked_digest, operator_version, template_digest
from wsedge_operator.reconcile.domain.decide import decide
from wsedge_operator.reconcile.domain.snapshot import DomainSnapshot
from wsedge_operator.reconcile.outcome import Outcome
from wsedge_operator.reconcile.rollouts import LONGEST, Turn

NEW = RelayImage("relay:2")
DONE = {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}
WAIT = Turn(False, message="wait", again=NOW + timedelta(seconds=30))


def settled() -> DomainSnapshot:
    """Return a served domain, as one decision more leaves it."""
    before = served()
    return replace(before, held=decide(before, NOW).held)


def upgraded(before: DomainSnapshot, **changes: Any) -> DomainSnapshot:
    """Return the snapshot of the next operator, whose relays have another image; it has no turn."""
    return replace(before, image=NEW, version="v2", turn=WAIT, held=None, **changes)


def live(before: DomainSnapshot, **annotations: str | None) -> dict[str, Any]:
    """Return a copy of the live Deployment with other annotations (`template=`, `rollout=`); None removes."""
    found = copy.deepcopy(dict(before.children["Deployment"]))
    for name, value in annotations.items():
        key = f"wsedge.io/{name.replace('_', '-')}"
        found["metadata"]["annotations"].pop(key, None)
        if value is not None:
            found["metadata"]["annotations"][key] = value
    return found


def having(before: DomainSnapshot, found: dict[str, Any]) -> DomainSnapshot:
    return replace(before, children={**before.children, "Deployment": found})


def image(outcome: Outcome, before: DomainSnapshot) -> str:
    """Return the image of the Deployment after `outcome`."""
    found = applied(before, outcome).children["Deployment"]
    return str(found["spec"]["template"]["spec"]["containers"][0]["image"])


def rollout(outcome: Outcome, before: DomainSnapshot) -> str | None:
    annotations = applied(before, outcome).children["Deployment"]["metadata"]["annotations"]
    found: str | None = annotations.get("wsedge.io/rollout")
    return found


def edited(before: DomainSnapshot, **relay: Any) -> DomainSnapshot:
    """Return the snapshot after an edit of spec.relay."""
    changed = live_domain(relay=relay)
    return replace(before, live={**changed, "status": before.live["status"]})


def test_a_change_of_the_operator_waits_for_its_turn() -> None:
    """The Deployment keeps its template, the domain stays ready, and the reason and an Event say so."""
    before = upgraded(settled())
    outcome = decide(before, NOW)
    assert (outcome.waits, outcome.starts, image(outcome, before)) == (True, False, "relay:1")
    assert answer(outcome, before, "Ready") == ("True", "RolloutWaiting")
    assert message(outcome, before, "Ready").endswith("; wait")
    assert [(note.type, note.reason) for note in outcome.notes] == [("Normal", "RolloutWaiting")]
    assert outcome.reconcile_at == WAIT.again


def test_a_domain_that_waits_is_written_no_more_than_once() -> None:
    """The second decision has no write: an idle cluster stays idle while a rollout is paused."""
    before = upgraded(settled())
    first = decide(before, NOW)
    after = replace(applied(before, first), held=first.held)
    second = decide(after, NOW)
    assert (kinds(second), second.restore, second.dry_run, second.status) == ([], (), (), ())
    assert second.waits
    unobserved = live(after)
    unobserved["metadata"]["generation"] = 2  # the write changed an annotation, and no pod
    assert decide(having(after, unobserved), NOW).status == ()


def test_a_paused_rollout_is_a_warning() -> None:
    """The domain is ready, and its reason is that another one failed."""
    before = upgraded(settled())
    before = replace(before, turn=Turn(False, paused=True, message="chat-0 failed"))
    outcome = decide(before, NOW)
    assert answer(outcome, before, "Ready") == ("True", "RolloutPaused")
    assert [(note.type, note.reason) for note in outcome.notes] == [("Warning", "RolloutPaused")]


def test_other_fields_are_written_while_the_domain_waits() -> None:
    """A new number of relays reaches a Deployment that keeps its template."""
    first = decide(before := upgraded(settled()), NOW)
    after = edited(replace(applied(before, first), held=first.held), replicas=5)
    outcome = decide(after, NOW)
    made = applied(after, outcome).children["Deployment"]
    assert made["spec"]["replicas"] == 5
    assert image(outcome, after) == "relay:1"
    assert outcome.waits


def test_the_turn_begins_the_rollout() -> None:
    """With its turn the domain gets the new template and a mark with version and time."""
    start = settled()
    found = live(start)
    found["status"] |= {"conditions": [DONE]}
    before = replace(upgraded(having(start, found)), turn=Turn(True))
    outcome = decide(before, NOW)
    assert (outcome.waits, outcome.starts, image(outcome, before)) == (False, True, "relay:2")
    assert rollout(outcome, before) == "v2 2026-11-22T12:00:00Z"
    after = replace(applied(before, outcome), held=outcome.held, turn=WAIT)
    again = decide(after, NOW)
    assert (again.waits, again.starts, kinds(again)) == (False, False, [])
    assert again.reconcile_at == NOW + LONGEST  # the mark's end, since this rollout is not complete
    assert decide(after, NOW + LONGEST).reconcile_at is None


@pytest.mark.parametrize("mark", ["v2 2026-11-22T11:59:00Z", "v2/unhealthy 2026-11-22T11:59:00Z"])
def test_a_rollout_that_begins_anew_keeps_its_verdict(mark: str) -> None:
    """Another client's write in a rollout does not make the relays ill, or well, before the change."""
    start = settled()
    before = upgraded(having(start, live(start, rollout=mark)))
    assert str(rollout(decide(before, NOW), before)).split()[0] == mark.split()[0]


def test_a_probe_is_told_by_an_event() -> None:
    """The domain with which a paused rollout continues has an Event that says so."""
    before = replace(upgraded(settled()), turn=Turn(True, is_probe=True))
    told = [(note.type, note.reason) for note in decide(before, NOW).notes]
    assert told.count(("Normal", "RolloutProbed")) == 1
    waits = replace(before, turn=WAIT)
    assert "RolloutProbed" not in [note.reason for note in decide(waits, NOW).notes]


def test_a_complete_rollout_loses_its_mark() -> None:
    """A Deployment that is scaled later looks incomplete for a moment, which is no rollout."""
    begins = replace(upgraded(settled()), turn=Turn(True))
    rolls = applied(begins, decide(begins, NOW))
    found = live(rolls)
    found["status"]["conditions"] = [DONE]
    before = replace(having(rolls, found), turn=WAIT)
    outcome = decide(before, NOW)
    assert (kinds(outcome), rollout(outcome, before), outcome.reconcile_at) == (["Deployment"], None, None)
    assert answer(outcome, before, "Ready") == ("False", "RelaysUpdating")  # until the end is observed
    after = replace(applied(before, outcome), held=outcome.held)
    assert answer(decide(after, NOW), after, "Ready") == ("True", "Serving")
    next_one = replace(before, image=RelayImage("relay:3"), version="v3")
    outcome = decide(next_one, NOW)
    assert (outcome.waits, rollout(outcome, next_one)) == (True, None)


AT_ONCE: dict[str, Any] = {
    "an edit of the pods": lambda before: edited(before, workers=2),
    "an edit of the settings of pods": lambda before: edited(before, pod={"labels": {"team": "a"}}),
    "no relay is available": lambda before: having(before, {**live(before), "status": {}}),
}


@pytest.mark.parametrize("change", AT_ONCE.values(), ids=AT_ONCE.keys())
def test_what_does_not_wait(change: Any) -> None:
    """A user's edit, and a domain that has nothing to lose, get the new template without a turn or a mark."""
    before = change(upgraded(settled()))
    outcome = decide(before, NOW)
    assert (outcome.waits, outcome.starts, image(outcome, before)) == (False, False, "relay:2")
    assert rollout(outcome, before) is None


def test_an_edit_while_the_domain_waits_does_not_wait() -> None:
    """The edit is told from the operator's change that waits, in a Deployment of the last release too."""
    start = settled()
    old = upgraded(having(start, live(start, template=None, asked_pods=None)))
    first = decide(old, NOW)
    assert first.waits
    after = edited(replace(applied(old, first), held=first.held), workers=3)
    assert image(decide(after, NOW), after) == "relay:2"


def test_a_rollout_that_is_not_complete_goes_on_to_the_next_version() -> None:
    """A corrected image replaces the broken one at once; that it fails again is no evidence."""
    start = settled()
    begun = upgraded(having(start, live(start, rollout="v1 2026-11-22T11:59:00Z")))
    outcome = decide(begun, NOW)
    assert (outcome.starts, rollout(outcome, begun)) == (True, "v2/unhealthy 2026-11-22T12:00:00Z")


def test_another_clients_template_does_not_wait() -> None:
    """What a client writes into the template of a domain that waits is replaced at once."""
    first = decide(before := upgraded(settled()), NOW)
    waits = replace(applied(before, first), held=first.held)
    stolen = live(waits)
    stolen["spec"]["template"]["spec"]["containers"][0]["command"] = ["sh"]
    outcome = decide(having(waits, stolen), NOW)
    assert (outcome.waits, [exact.ref.kind for exact in outcome.restore]) == (False, ["Deployment"])


def test_a_forged_digest_does_not_begin_to_wait() -> None:
    """After a process has seen its own template, another one is always restored."""
    before = replace(settled(), turn=WAIT)
    assert before.held == ""
    stolen = live(before, template="0" * 16)
    stolen["spec"]["template"]["spec"]["containers"][0]["image"] = "evil:1"
    outcome = decide(having(before, stolen), NOW)
    assert not outcome.waits
    (exact,) = outcome.dry_run  # of the desired parts; what differs from the answer is restored then
    assert dict(exact.parts)["spec"]["template"]["spec"]["containers"][0]["image"] == "relay:1"


def test_a_restart_by_kubectl_stays_kubectls() -> None:
    """The held template is applied without the time of `kubectl rollout restart`, and stays held."""
    start = settled()
    restarted = live(start)
    told = {"kubectl.kubernetes.io/restartedAt": "2026-11-22T11:00:00Z"}
    restarted["spec"]["template"]["metadata"]["annotations"] |= told
    before = edited(upgraded(having(start, restarted)), replicas=5)
    outcome = decide(before, NOW)
    assert outcome.waits
    (made,) = (made for made in outcome.apply if made["kind"] == "Deployment")
    assert not told.keys() & made["spec"]["template"]["metadata"]["annotations"].keys()
    assert not outcome.restore


def test_pods_of_the_last_release_that_stay_the_same_are_not_replaced() -> None:
    """A Deployment without digests whose template is the desired one gets them, and asks for no turn."""
    start = settled()
    before = replace(having(start, live(start, template=None, asked_pods=None)), turn=WAIT, held=None)
    outcome = decide(before, NOW)
    assert (outcome.waits, outcome.held, outcome.restore) == (False, "", ())
    (made,) = (made for made in outcome.apply if made["kind"] == "Deployment")
    assert made["metadata"]["annotations"]["wsedge.io/template"]
    # The same after a crash between the write of the template and that of the digests.
    crashed = replace(having(start, live(start, template="0" * 16)), turn=WAIT, held=None)
    assert not decide(crashed, NOW).waits


def spec(**parts: Any) -> WebSocketDomainSpec:
    return WebSocketDomain.model_validate(live_domain(**parts)).spec


relays = st.fixed_dictionaries(
    {},
    optional={
        "replicas": st.integers(1, 3),
        "workers": st.integers(1, 3),
        "resources": st.just({"limits": {"memory": "64Mi"}}),
        "geo": st.just({"volumeClaimName": "geo", "city": "a"}),
        "pod": st.sampled_from([{}, {"labels": {"a": "b"}}, {"terminationGracePeriodSeconds": 4000}]),
    },
)
specs = st.builds(
    lambda relay, drain: spec(relay=relay, lifecycle={"drainSeconds": drain}),
    relays,
    st.sampled_from([0, 30, 61, 3600]),
)


@given(specs, specs)
def test_a_spec_that_makes_another_template_has_another_digest(
    one: WebSocketDomainSpec, two: WebSocketDomainSpec
) -> None:
    """Whatever part of a spec changes the template is in the digest of what it asks for."""
    made = [template_digest(deployment(live_domain(), each, NEW)) for each in (one, two)]
    if made[0] != made[1]:
        assert asked_digest(one) != asked_digest(two)
    assert asked_digest(one) == asked_digest(one.model_copy(update={"origins": two.origins}))


def test_the_digest_of_what_a_spec_asks_for_is_the_same_in_every_release() -> None:
    """Another digest in a later release would roll out all domains at once."""
    assert (
        asked_digest(spec()) == asked_digest(spec(relay={"workers": 1, "replicas": 7})) == "8cfb5a55fa880ad0"
    )
    relay = {"workers": 2, "resources": {"limits": {"memory": "64Mi"}}, "pod": {"labels": {"a": "b"}}}
    assert asked_digest(spec(relay=relay)) == "ed88822fb524f4ae"


def test_the_operators_version_is_its_part_of_the_template() -> None:
    """Another image or another default is another version; a restart is the same."""
    versions = [
        operator_version(RelayImage("relay:1"), RelayPod()),
        operator_version(RelayImage("relay:2"), RelayPod()),
        operator_version(RelayImage("relay:1"), RelayPod(priorityClassName="edge")),
    ]
    assert len(set(versions)) == 3
    assert operator_version(RelayImage("relay:1"), RelayPod()) == versions[0]


def test_templates_are_compared_without_defaults() -> None:
    """Defaults of the API server and the time of a restart are no difference; another image is one."""
    wanted = with_digest(deployment(live_domain(), spec(), RelayImage("relay:1")))
    found = copy.deepcopy(wanted)
    found["spec"]["template"]["spec"]["dnsPolicy"] = "ClusterFirst"
    found["spec"]["template"]["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"] = "x"
    assert template_differences(found, wanted) == ()
    other = deployment(live_domain(), spec(), RelayImage("relay:2"))
    assert template_differences(found, other) == ("spec.template.spec.containers[relay].image",)
