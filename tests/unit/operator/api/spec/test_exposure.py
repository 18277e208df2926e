"""What the models refuse of an entrance, beyond the rules that the API server has too."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from wsedge_operator.api.spec.exposure import IngressExposure

KEYS = ["a", "example.com/a", "nginx.ingress.kubernetes.io/ssl-passthrough", "A.b_c-d", "x" * 63]
BAD_KEYS = ["", "a b", "/a", "Example.com/a", "example.com/", "-a", "x" * 64, "a/b/c", f"{'a.' * 127}a/b"]


@pytest.mark.parametrize("key", KEYS)
def test_keys_of_annotations(key: str) -> None:
    """A key that an object may have is accepted."""
    assert IngressExposure(annotations={key: ""}).annotations == {key: ""}


@pytest.mark.parametrize("key", BAD_KEYS)
def test_keys_that_no_object_can_have(key: str) -> None:
    """The API server would refuse the child, with all its other fields."""
    with pytest.raises(ValidationError, match="give keys of annotations"):
        IngressExposure(annotations={key: ""})
