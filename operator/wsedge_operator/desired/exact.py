"""What may hold nothing but what is wanted: the parts of children in which an addition does harm.

A relay with another argument, volume, container or environment variable serves past its metering; a Service
with another selector leads past the relays; a budget with another selector protects nothing. Server-side
apply leaves such additions alone, since it only speaks of the fields that it names. Everything else of a
child (annotations for external-dns, more keys in a ConfigMap) is free: no relay reads it.

Who owns an added field is no proof, since whoever may write an object may write its `managedFields` too. So
the API server is asked what it makes of the wanted parts (a dry run, through all defaults and admission
webhooks): what the live object has beyond that answer comes from somebody else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from wsedge_operator.api.spec.quantity import amount_of
from wsedge_operator.desired.names import DESIRED_ANNOTATION

Manifest = Mapping[str, Any]

# `kubectl rollout restart`, and the buttons of dashboards, write this into a pod template; it harms nobody.
RESTARTED_ANNOTATION: Final = "kubectl.kubernetes.io/restartedAt"
_PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "Deployment": ("spec",),
    # With an external IP in it the operator's own policy refuses every write of the Service.
    "Service": ("spec.selector", "spec.ports", "spec.externalIPs"),
    "PodDisruptionBudget": ("spec.selector",),
    "NetworkPolicy": ("spec.podSelector",),
}
# What every API server adds to these parts. One that is missing here costs a dry run, nothing else.
_DEFAULTS: Final[Mapping[str, tuple[Any, ...]]] = {
    "creationTimestamp": (None,),
    "dnsPolicy": ("ClusterFirst",),
    "progressDeadlineSeconds": (600,),
    "resources": ({},),
    "restartPolicy": ("Always",),
    "schedulerName": ("default-scheduler",),
    "successThreshold": (1,),
    "terminationMessagePath": ("/dev/termination-log",),
    "terminationMessagePolicy": ("File",),
}
_AMOUNTS: Final = frozenset({"requests", "limits"})


def is_exact_kind(kind: str) -> bool:
    """Tell whether some part of this kind may hold nothing but what is wanted."""
    return kind in _PARTS


def digest_of(manifest: Manifest) -> str:
    """Return the hash of what was applied that a manifest carries; empty when it has none."""
    return str((manifest["metadata"].get("annotations") or {}).get(DESIRED_ANNOTATION, ""))


def outside_parts(manifest: Manifest) -> dict[str, Any]:
    """Return a manifest without its exact parts: what is compared by its own values alone."""
    spec = dict(manifest["spec"])
    for path in _PARTS[manifest["kind"]]:
        if path == "spec":
            spec = {"replicas": spec["replicas"]} if "replicas" in spec else {}
        else:
            spec.pop(path.removeprefix("spec."), None)
    return {**manifest, "spec": spec}


def parts(manifest: Manifest) -> dict[str, Any]:
    """Return the exact parts of a manifest or of a live object by their paths.

    Left out are the number of replicas, which may be another's to decide, and the time of a restart.
    """
    found = {path: _at(manifest, path) for path in _PARTS[manifest["kind"]]}
    if manifest["kind"] == "Deployment":
        found["spec"] = _without_freedoms(found["spec"])
    return found


def differences(live: Manifest, wanted: Manifest) -> tuple[str, ...]:
    """Return the paths at which the exact parts of `live` differ from `wanted`, defaults aside."""
    have = parts(live)
    return tuple(
        difference
        for path, want in parts(wanted).items()
        for difference in _differences(have[path], want, path, lenient=True)
    )


def differences_from_admitted(live: Manifest, admitted: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the paths at which the exact parts of `live` differ from what the API server admitted."""
    have = parts(live)
    return tuple(
        difference
        for path, want in admitted.items()
        for difference in _differences(have[path], want, path, lenient=False)
    )


def replacements(live: Manifest, wanted: Manifest) -> tuple[tuple[str, Any], ...]:
    """Return the exact parts as they shall be, by path.

    They keep what is free in them: replicas where `wanted` names none, the time of a restart, and what
    others say about a port that is wanted (its nodePort, its appProtocol).
    """
    if wanted["kind"] == "Deployment":
        return (("spec", _restored_spec(live, wanted)),)
    return tuple(
        (path, _restored_ports(_at(live, path), want) if path == "spec.ports" else want)
        for path, want in parts(wanted).items()
    )


def _restored_spec(live: Manifest, wanted: Manifest) -> dict[str, Any]:
    spec = dict(wanted["spec"])
    if "replicas" not in spec and live["spec"].get("replicas") is not None:
        spec["replicas"] = live["spec"]["replicas"]
    restarted = _annotations(live["spec"]).get(RESTARTED_ANNOTATION)
    if restarted is not None:
        template = spec["template"]
        annotations = {**_annotations(spec), RESTARTED_ANNOTATION: restarted}
        spec["template"] = {**template, "metadata": {**template["metadata"], "annotations": annotations}}
    return spec


def _restored_ports(live: Any, wanted: Sequence[Manifest]) -> list[dict[str, Any]]:
    known = {port.get("name"): port for port in live or ()}
    return [{**known.get(port["name"], {}), **port} for port in wanted]


def _without_freedoms(spec: Any) -> dict[str, Any]:
    kept = {key: value for key, value in (spec or {}).items() if key != "replicas"}
    template = kept.get("template") or {}
    annotations = {key: value for key, value in _annotations(kept).items() if key != RESTARTED_ANNOTATION}
    metadata = {key: value for key, value in (template.get("metadata") or {}).items() if key != "annotations"}
    if annotations:
        metadata["annotations"] = annotations
    kept["template"] = {**template, "metadata": metadata}
    return kept


def _annotations(spec: Manifest) -> dict[str, Any]:
    template = spec.get("template") or {}
    return dict((template.get("metadata") or {}).get("annotations") or {})


def _at(manifest: Manifest, path: str) -> Any:
    value: Any = manifest
    for name in path.split("."):
        value = (value or {}).get(name)
    return value


def _differences(live: Any, wanted: Any, path: str, *, lenient: bool) -> Iterator[str]:
    """Yield the paths at which two trees differ; `lenient` lets pass what every API server adds."""
    if live == wanted:
        return
    if isinstance(wanted, Mapping) and isinstance(live, Mapping):
        yield from _in_maps(live, wanted, path, lenient=lenient)
    elif _is_list(wanted) and _is_list(live):
        yield from _in_lists(live, wanted, path, lenient=lenient)
    elif not (_is_empty(live) and _is_empty(wanted)):
        yield path


def _in_maps(
    live: Mapping[str, Any], wanted: Mapping[str, Any], path: str, *, lenient: bool
) -> Iterator[str]:
    for key in sorted({*live, *wanted}):
        have, want, where = live.get(key), wanted.get(key), f"{path}.{key}"
        is_amount = path.rsplit(".", 1)[-1] in _AMOUNTS or key == "sizeLimit"
        if is_amount and _is_same_amount(have, want):
            continue
        if lenient and key not in wanted and _is_default(key, have, wanted):
            continue
        if path.startswith("spec.ports[") and key not in wanted:
            continue  # What others say about a port does not lead past it.
        yield from _differences(have, want, where, lenient=lenient)


def _in_lists(live: Sequence[Any], wanted: Sequence[Any], path: str, *, lenient: bool) -> Iterator[str]:
    """Compare lists: those of named parts by name, others item by item."""
    if all(isinstance(item, Mapping) and "name" in item for item in (*live, *wanted)):
        have, want = ({item["name"]: item for item in items} for items in (live, wanted))
        if len(have) != len(live):
            yield path  # One name twice: of two environment variables the last counts.
        for name in sorted({*have, *want}):
            where = f"{path}[{name}]"
            if name in have and name in want:
                yield from _differences(have[name], want[name], where, lenient=lenient)
            else:
                yield where
        return
    if len(live) != len(wanted):
        yield path
        return
    for index, (have_item, want_item) in enumerate(zip(live, wanted, strict=True)):
        yield from _differences(have_item, want_item, f"{path}[{index}]", lenient=lenient)


def _is_empty(value: Any) -> bool:
    """Tell whether a value is none at all: the API server stores no empty map and no empty list."""
    return value is None or (isinstance(value, Mapping | list | tuple) and not value)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _is_default(key: str, value: Any, beside: Mapping[str, Any]) -> bool:
    if key == "serviceAccount":  # The old name of the field beside it.
        return bool(value == beside.get("serviceAccountName"))
    return value in _DEFAULTS.get(key, ())


def _is_same_amount(live: Any, wanted: Any) -> bool:
    if live is None or wanted is None:
        return live is wanted
    # The API server writes amounts in its own way: 0.5 becomes 500m.
    return live == wanted or bool(amount_of(live) == amount_of(wanted))
