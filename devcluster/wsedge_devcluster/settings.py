"""Settings of the devcluster, from the environment (WSEDGE_DEVCLUSTER_…) and the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class DevclusterSettings(BaseSettings):
    """Read once, when the command starts."""

    model_config = SettingsConfigDict(env_prefix="WSEDGE_DEVCLUSTER_", frozen=True)

    dir: Path | None = None  # None: a temporary folder
    nodes: Annotated[int, Field(ge=0, le=50)] = 2
    simulated_nodes: Annotated[int, Field(ge=0, le=50)] = 0
    backoff_scale: Annotated[float, Field(gt=0, le=1)] = 1.0
    sync_seconds: Annotated[float, Field(gt=0)] = 60.0
