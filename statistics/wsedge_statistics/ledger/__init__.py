"""The ledger: where the counts are kept."""

from wsedge_statistics.ledger.protocol import Ledger, Room, SeenKey

__all__ = ["Ledger", "Room", "SeenKey"]
