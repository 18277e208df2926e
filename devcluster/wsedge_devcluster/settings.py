"""Settings of the devcluster, from the environment (WSEDGE_DEVCLUSTER_…) and the command line."""

from __future__ import annotations

from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict

from wsedge_devcluster.cluster.spec import BackoffScale, NodeCount, SyncSeconds


class DevclusterSettings(BaseSettings):
    """Read once, when the command starts."""

    model_config = SettingsConfigDict(env_prefix="WSEDGE_DEVCLUSTER_", frozen=True)

    dir: Path | None = None  # None: a temporary folder
    nodes: NodeCount = 2
    simulated_nodes: NodeCount = 0
    backoff_scale: BackoffScale = 1.0
    sync_seconds: SyncSeconds = 60.0
