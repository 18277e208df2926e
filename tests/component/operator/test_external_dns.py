"""The annotations for external-dns are those that its source reads."""

from __future__ import annotations

import re

from support.foreign import EXTERNAL_DNS, module_folder
from support.operator.snapshots import live_domain
from wsedge_operator.api.spec.exposure import DNS_KEYS, DNS_PREFIXES
from wsedge_operator.api.websocket_domain import WebSocketDomain
from wsedge_operator.desired.exposure.dns import dns_annotations


def test_external_dns_reads_the_annotations() -> None:
    """The keys of the pinned release are among those that are written, and reserved beside `dns`."""
    text = (module_folder(EXTERNAL_DNS) / "source" / "annotations" / "annotations.go").read_text()
    (prefix,) = re.findall(r'DefaultAnnotationPrefix = "([^"]+)"', text)
    assert prefix in DNS_PREFIXES
    names = dict(re.findall(r'\b(HostnameKey|TtlKey) += AnnotationKeyPrefix \+ "([^"]+)"', text))
    keys = {f"{prefix}{name}" for name in names.values()}
    assert len(keys) == 2
    assert keys <= {*DNS_KEYS}
    spec = WebSocketDomain.model_validate(live_domain(exposure={"dns": {"ttlSeconds": 60}})).spec
    written = dns_annotations(spec)
    assert (written[f"{prefix}{names['HostnameKey']}"], written[f"{prefix}{names['TtlKey']}"]) == (
        "chat.example.com",
        "60",
    )
