"""Answers as JSON and XML."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from wsedge_statistics.dcdn.rendering import JSON_TYPE, XML_TYPE, render

TREE: dict[str, Any] = {
    "RequestId": "R",
    "Absent": None,
    "Data": {"Module": [{"Time": "t", "Bytes": 12, "Rate": 1.5, "Is": True}, {"Time": "u", "Is": False}]},
    "Nothing": {"Module": []},
}


def test_json_has_objects_that_hold_a_list() -> None:
    """SDKs break when a list is in the place of its holder."""
    body, kind = render(TREE, "Response", as_json=True)
    assert kind == JSON_TYPE
    assert json.loads(body) == {
        "RequestId": "R",
        "Data": {"Module": [{"Time": "t", "Bytes": 12, "Rate": 1.5, "Is": True}, {"Time": "u", "Is": False}]},
        "Nothing": {"Module": []},
    }


def test_xml_repeats_the_element_of_a_list() -> None:
    """The root has the operation's name."""
    body, kind = render(TREE, "DescribeResponse", as_json=False)
    assert kind == XML_TYPE
    assert body.decode() == (
        "<?xml version='1.0' encoding='UTF-8'?><DescribeResponse><RequestId>R</RequestId><Data>"
        "<Module><Time>t</Time><Bytes>12</Bytes><Rate>1.5</Rate><Is>true</Is></Module>"
        "<Module><Time>u</Time><Is>false</Is></Module></Data><Nothing></Nothing></DescribeResponse>"
    )


@given(text=st.text(st.characters(), max_size=40))
def test_every_text_is_a_well_formed_document(text: str) -> None:
    """Whatever a message repeats of a request; characters that XML does not have are replaced."""
    body, _ = render({"Message": text}, "Error", as_json=False)
    found = ET.fromstring(body).findtext("Message") or ""
    assert len(found.replace("\r\n", "\n")) <= len(text)
    body, _ = render({"Message": text}, "Error", as_json=True)
    parsed = json.loads(body)["Message"]
    assert len(parsed) == len(text)
    if text.isprintable():
        assert found == parsed == text
