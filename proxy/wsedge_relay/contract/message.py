"""The base of all messages."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Message(BaseModel):
    """Base of every message part: immutable, unknown fields are ignored."""

    # The published schema (`wsedge-relay --schema`) allows no unknown fields: editors mark misspelt ones.
    model_config = ConfigDict(extra="ignore", frozen=True, json_schema_extra={"additionalProperties": False})
