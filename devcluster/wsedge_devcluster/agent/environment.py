"""A container's environment, from its specification and the objects that it refers to. Pure."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from wsedge_devcluster.agent.objects import Object
from wsedge_devcluster.agent.quantities import CAPACITY, in_units
from wsedge_devcluster.errors import ContainerError

_REFERENCE = re.compile(r"\$(\$|\([^()]*\))")
_SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


@dataclass(frozen=True, slots=True)
class Sources:
    """ConfigMaps and Secrets by name, as far as they exist (Secret values decoded)."""

    config_maps: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)
    secrets: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)


def contents(item: Object) -> dict[str, bytes]:
    """Return the keys and values of a ConfigMap or a Secret, decoded."""
    if item.get("kind") == "Secret":
        return {key: base64.b64decode(value) for key, value in (item.get("data") or {}).items()}
    texts = {key: value.encode() for key, value in (item.get("data") or {}).items()}
    return texts | {key: base64.b64decode(value) for key, value in (item.get("binaryData") or {}).items()}


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace `$(NAME)`; `$$` is a dollar sign; an unknown name stays (the API's rule for `env`)."""

    def value(found: re.Match[str]) -> str:
        if found[1] == "$":
            return "$"
        return variables.get(found[1][1:-1], found[0])

    return _REFERENCE.sub(value, text)


def references(container: Object) -> tuple[set[str], set[str]]:
    """Return the names of the ConfigMaps and of the Secrets that a container's environment refers to."""
    config_maps, secrets = set(), set()
    for entry in container.get("envFrom", []):
        if "configMapRef" in entry:
            config_maps.add(entry["configMapRef"]["name"])
        if "secretRef" in entry:
            secrets.add(entry["secretRef"]["name"])
    for entry in container.get("env", []):
        source = entry.get("valueFrom", {})
        if "configMapKeyRef" in source:
            config_maps.add(source["configMapKeyRef"]["name"])
        if "secretKeyRef" in source:
            secrets.add(source["secretKeyRef"]["name"])
    return config_maps, secrets


def container_environment(
    container: Object, pod: Object, sources: Sources, services: Mapping[str, str]
) -> dict[str, str]:
    """Return service variables, then envFrom, then env, each expanded with those before it.

    Raises ContainerError (CreateContainerConfigError), with a kubelet's text, when something is missing.
    """
    variables = dict(services)
    for entry in container.get("envFrom", []):
        prefix = entry.get("prefix", "")
        for key, value in _whole(entry, pod, sources).items():
            variables[prefix + key] = value.decode(errors="replace")
    for entry in container.get("env", []):
        if "valueFrom" in entry:
            found = _value_from(entry["valueFrom"], container, pod, sources)
            if found is not None:
                variables[entry["name"]] = found
        else:
            variables[entry["name"]] = expand(entry.get("value", ""), variables)
    return variables


def service_variables(services: Iterable[Object], namespace: str) -> dict[str, str]:
    """Return the variables of enableServiceLinks: NAME_SERVICE_HOST, NAME_SERVICE_PORT, NAME_PORT …"""
    variables = {}
    for service in services:
        address = service["spec"].get("clusterIP")
        if service["metadata"]["namespace"] != namespace or address in (None, "", "None"):
            continue
        if (namespace, service["metadata"]["name"]) == ("default", "kubernetes"):
            continue  # every pod has the API server's real address from api_server_variables
        name = service["metadata"]["name"].upper().replace("-", "_")
        ports = service["spec"].get("ports", [])
        variables[f"{name}_SERVICE_HOST"] = address
        for index, port in enumerate(ports):
            protocol, number = port.get("protocol", "TCP"), port["port"]
            url = f"{protocol.lower()}://{address}:{number}"
            if index == 0:
                variables[f"{name}_SERVICE_PORT"] = str(number)
                variables[f"{name}_PORT"] = url
            if port.get("name"):
                variables[f"{name}_SERVICE_PORT_{port['name'].upper().replace('-', '_')}"] = str(number)
            base = f"{name}_PORT_{number}_{protocol}"
            variables |= {base: url, f"{base}_PROTO": protocol.lower()}
            variables |= {f"{base}_PORT": str(number), f"{base}_ADDR": address}
    return variables


def field_value(path: str, pod: Object) -> str:
    """Return the value of a downward API fieldRef; raises ContainerError for an unknown path."""
    metadata, spec, status = pod["metadata"], pod["spec"], pod.get("status", {})
    if subscript := _SUBSCRIPT.fullmatch(path):
        return str(metadata.get(subscript[1], {}).get(subscript[2], ""))
    if path in ("metadata.labels", "metadata.annotations"):
        pairs = sorted(metadata.get(path.split(".")[1], {}).items())
        return "\n".join(f'{key}="{_escape(value)}"' for key, value in pairs)
    simple = {
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata["namespace"],
        "metadata.uid": metadata["uid"],
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", ""),
        "status.podIP": status.get("podIP", ""),
        "status.podIPs": status.get("podIP", ""),
        "status.hostIP": status.get("hostIP", ""),
        "status.hostIPs": status.get("hostIP", ""),
    }
    if path not in simple:
        raise ContainerError("CreateContainerConfigError", f"unsupported fieldPath: {path}")
    return str(simple[path])


def resource_value(reference: Object, container: Object, pod: Object) -> str:
    """Return the value of a resourceFieldRef; a missing limit is the node's whole capacity."""
    containers = [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]
    name = reference.get("containerName", container["name"])
    owner = next((each for each in containers if each["name"] == name), container)
    kind, _, resource = reference["resource"].partition(".")
    resources = owner.get("resources", {})
    missing = CAPACITY.get(resource, "0") if kind == "limits" else "0"
    return in_units(str(resources.get(kind, {}).get(resource, missing)), str(reference.get("divisor", "1")))


def _whole(entry: Object, pod: Object, sources: Sources) -> Mapping[str, bytes]:
    for kind, word, known in (
        ("configMapRef", "configmap", sources.config_maps),
        ("secretRef", "secret", sources.secrets),
    ):
        if kind in entry:
            name = entry[kind]["name"]
            if name in known:
                return known[name]
            if entry[kind].get("optional"):
                return {}
            raise ContainerError("CreateContainerConfigError", f'{word} "{name}" not found')
    raise ContainerError(
        "CreateContainerConfigError", f"unsupported envFrom in pod {pod['metadata']['name']}"
    )


def _value_from(source: Object, container: Object, pod: Object, sources: Sources) -> str | None:
    if "fieldRef" in source:
        return field_value(source["fieldRef"]["fieldPath"], pod)
    if "resourceFieldRef" in source:
        return resource_value(source["resourceFieldRef"], container, pod)
    for kind, word, known in (
        ("configMapKeyRef", "ConfigMap", sources.config_maps),
        ("secretKeyRef", "Secret", sources.secrets),
    ):
        if kind in source:
            return _key(source[kind], word, known, pod["metadata"]["namespace"])
    raise ContainerError("CreateContainerConfigError", f"unsupported valueFrom: {', '.join(source)}")


def _key(
    reference: Object, word: str, known: Mapping[str, Mapping[str, bytes]], namespace: str
) -> str | None:
    name, key = reference["name"], reference["key"]
    if name in known and key in known[name]:
        return known[name][key].decode(errors="replace")
    if reference.get("optional"):
        return None
    if name not in known:
        raise ContainerError("CreateContainerConfigError", f'{word.lower()} "{name}" not found')
    raise ContainerError(
        "CreateContainerConfigError", f"couldn't find key {key} in {word} {namespace}/{name}"
    )


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
