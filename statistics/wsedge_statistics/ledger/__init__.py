"""The ledger, which stores the counts.

    protocol   the interface of every ledger
    writer     the writing thread: a queue, commits in groups, futures; of any store
    upkeep     the schedule of rollups and retention; of any store
    rollup     rows of the hour and day tiers, computed and packed. Pure
    sqlite/    the ledger as one SQLite file

Never imports `asking` or a route.
"""

from wsedge_statistics.ledger.protocol import Ledger, Room, SeenKey

__all__ = ["Ledger", "Room", "SeenKey"]
