"""The ledger: where the counts are kept."""

from wsedge_statistics.ledger.store import Ledger, SeenKey

__all__ = ["Ledger", "SeenKey"]
