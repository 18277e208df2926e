"""What the fixtures hand to tests."""

from __future__ import annotations

from dataclasses import dataclass

from support_statistics.cluster import KeyServer, Signer
from support_statistics.process import Statistics

OPERATOR = "system:serviceaccount:wsedge-system:wsedge-operator"
ADMIN = "system:serviceaccount:ops:admin"


@dataclass
class Cluster:
    """The program in a cluster, whose keys are `signer` and `elliptic`."""

    program: Statistics
    keys: KeyServer
    signer: Signer
    elliptic: Signer
