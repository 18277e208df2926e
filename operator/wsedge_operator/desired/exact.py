"""The exact parts of children: parts to which no other client may add a field.

    an argument, volume, container or variable added to a relay      it could serve past its metering
    a label added to a Service's selector, or another port           traffic would bypass the relays
    a label added to the selector of a budget or a policy            it would protect no relay

Server-side apply does not remove such additions: it changes only the fields that the manifest has. Other
parts of a child (annotations for external-dns, more keys in a ConfigMap) may be added to, since no relay
reads them.

`managedFields` is no proof of who added a field: a client that may write an object may write its
`managedFields` too. Instead the operator sends the desired parts as a dry run, which passes all defaults and
admission webhooks. Fields that the live object has beyond the answer were added by another client.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from wsedge_operator.api.spec.quantity import amount_of
from wsedge_operator.desired.names import DESIRED_ANNOTATION

Manifest = Mapping[str, Any]

# `kubectl rollout restart`, and dashboards, write this annotation into a pod template. It changes no relay's
# configuration.
RESTARTED_ANNOTATION: Final = "kubectl.kubernetes.io/restartedAt"
_PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "Deployment": ("spec",),
    # The chart's admission policy refuses every write of a Service with an external IP, so a Service to which
    # another client added an address could not be updated any more.
    "Service": ("spec.selector", "spec.ports", "spec.externalIPs"),
    "PodDisruptionBudget": ("spec.selector",),
    "NetworkPolicy": ("spec.podSelector",),
}
# Defaults that every API server adds to these parts. A default that is missing here costs a dry run, nothing
# else.
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
_QUANTITIES: Final = frozenset({"requests", "limits"})


def is_exact_kind(kind: str) -> bool:
    """Return whether children of this kind have exact parts."""
    return kind in _PARTS


def digest_of(manifest: Manifest) -> str:
    """Return the digest in the annotations of a manifest or a live object, or an empty string."""
    return str((manifest["metadata"].get("annotations") or {}).get(DESIRED_ANNOTATION, ""))


def outside_parts(manifest: Manifest) -> dict[str, Any]:
    """Return a manifest without its exact parts. `digest.is_applied` compares these values."""
    spec = dict(manifest["spec"])
    for path in _PARTS[manifest["kind"]]:
        if path == "spec":
            spec = {"replicas": spec["replicas"]} if "replicas" in spec else {}
        else:
            spec.pop(path.removeprefix("spec."), None)
    return {**manifest, "spec": spec}


def parts(manifest: Manifest) -> dict[str, Any]:
    """Return the exact parts of a manifest or of a live object by path (`spec.selector`).

    Two values of a Deployment are not in them, because other clients may write them: the number of replicas
    (an autoscaler) and the time of a restart (`kubectl rollout restart`).
    """
    found = {path: _at(manifest, path) for path in _PARTS[manifest["kind"]]}
    if manifest["kind"] == "Deployment":
        found["spec"] = _without_free_fields(found["spec"])
    return found


def differences(live: Manifest, wanted: Manifest) -> tuple[str, ...]:
    """Return the paths at which the exact parts of `live` differ from `wanted`, except for known defaults."""
    have = parts(live)
    return tuple(
        difference
        for path, want in parts(wanted).items()
        for difference in _differences(have[path], want, path, lenient=True)
    )


def template_differences(live: Manifest, wanted: Manifest) -> tuple[str, ...]:
    """Return the paths at which the pod template of a Deployment differs from `wanted`, except defaults."""
    path = "spec.template"
    have, want = (parts(manifest)["spec"]["template"] for manifest in (live, wanted))
    return tuple(_differences(have, want, path, lenient=True))


def differences_from_admitted(live: Manifest, admitted: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the paths at which the exact parts of `live` differ from `admitted`, the answer to a dry run."""
    have = parts(live)
    return tuple(
        difference
        for path, want in admitted.items()
        for difference in _differences(have[path], want, path, lenient=False)
    )


def replacements(live: Manifest, wanted: Manifest) -> tuple[tuple[str, Any], ...]:
    """Return the exact parts to write, by path.

    They retain the live values that other clients may write: replicas if `wanted` has none, the time of a
    restart, and further fields of a desired port (nodePort, appProtocol).
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


def _without_free_fields(spec: Any) -> dict[str, Any]:
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
    """Yield the paths at which two trees differ; with `lenient`, except for `_DEFAULTS`."""
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
        is_quantity = path.rsplit(".", 1)[-1] in _QUANTITIES or key == "sizeLimit"
        if is_quantity and _is_same_quantity(have, want):
            continue
        if lenient and key not in wanted and _is_default(key, have, wanted):
            continue
        if path.startswith("spec.ports[") and key not in wanted:
            continue  # Further fields of a desired port (appProtocol, nodePort) send no traffic elsewhere.
        yield from _differences(have, want, where, lenient=lenient)


def _in_lists(live: Sequence[Any], wanted: Sequence[Any], path: str, *, lenient: bool) -> Iterator[str]:
    """Yield the differences of two lists: by `name` if every item has one, else by index."""
    if all(isinstance(item, Mapping) and "name" in item for item in (*live, *wanted)):
        have, want = ({item["name"]: item for item in items} for items in (live, wanted))
        if len(have) != len(live):
            yield path  # A name twice: of two environment variables with one name the last one is in force.
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
    """Return whether a value is absent or empty: the API server stores no empty map and no empty list."""
    return value is None or (isinstance(value, Mapping | list | tuple) and not value)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _is_default(key: str, value: Any, beside: Mapping[str, Any]) -> bool:
    if key == "serviceAccount":  # The deprecated alias of serviceAccountName, which the API server fills in.
        return bool(value == beside.get("serviceAccountName"))
    return value in _DEFAULTS.get(key, ())


def _is_same_quantity(live: Any, wanted: Any) -> bool:
    if live is None or wanted is None:
        return live is wanted
    # The API server stores quantities in canonical form: 0.5 becomes 500m.
    return live == wanted or bool(amount_of(live) == amount_of(wanted))
