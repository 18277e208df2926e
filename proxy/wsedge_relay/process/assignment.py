"""The settings and the configuration that a supervisor sends to a worker.

Not a contract: both ends run the same installation of this package, and the message stays in the pod.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wsedge_relay.config.load import LoadedConfig
from wsedge_relay.config.material import KeyPair, Material
from wsedge_relay.contract import Listen, RelayConfig
from wsedge_relay.settings import Settings


@dataclass(frozen=True, slots=True)
class Assignment:
    """A worker's number (from 1), its settings, its addresses, and its first configuration.

    `in_pod` is the supervisor's `Settings.is_in_pod`, which a worker cannot derive: all its settings are
    given.
    """

    number: int
    settings: Settings
    listen: Listen
    loaded: LoadedConfig
    in_pod: bool

    def to_json(self) -> dict[str, Any]:
        """Return the assignment as a JSON document, which includes private keys."""
        return {
            "number": self.number,
            "settings": self.settings.model_dump(mode="json"),
            "listen": self.listen.model_dump(mode="json"),
            "loaded": loaded_to_json(self.loaded),
            "inPod": self.in_pod,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Assignment:
        """Return the assignment that `to_json` wrote."""
        return cls(
            document["number"],
            Settings(**document["settings"]),
            Listen(**document["listen"]),
            loaded_from_json(document["loaded"]),
            document["inPod"],
        )


def loaded_to_json(loaded: LoadedConfig) -> dict[str, Any]:
    """Return a checked configuration and its certificates as a JSON document."""
    material = loaded.material
    return {
        "config": loaded.config.model_dump_json(),
        "keyPairs": [
            [*files, b64encode(pair.certificate).decode(), b64encode(pair.key).decode()]
            for files, pair in material.key_pairs.items()
        ],
        "authorities": dict(material.authorities),
    }


def loaded_from_json(document: Mapping[str, Any]) -> LoadedConfig:
    """Return the configuration that `loaded_to_json` wrote."""
    pairs = {
        (certificate_file, key_file): KeyPair(b64decode(certificate), b64decode(key))
        for certificate_file, key_file, certificate, key in document["keyPairs"]
    }
    config = RelayConfig.model_validate_json(document["config"])
    return LoadedConfig(config, Material(pairs, document["authorities"]))
