"""The cluster that fixtures give to tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from support.statistics.build import directory
from support.statistics.cluster import KeyServer, Signer
from support.statistics.process import Statistics

OPERATOR = "system:serviceaccount:wsedge-system:wsedge-operator"
ADMIN = "system:serviceaccount:ops:admin"


@dataclass
class Cluster:
    """The program in a cluster, whose keys are `signer` and `elliptic`."""

    program: Statistics
    keys: KeyServer
    signer: Signer
    elliptic: Signer

    def put_directory(self, **fields: Any) -> None:
        """Put a Directory with the operator's token."""
        token = self.signer.token("wsedge-operator", "wsedge-system")
        answer = self.program.put_directory(directory(**fields), token=token)
        assert answer.status == 204, answer.text
