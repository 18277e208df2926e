"""The ledger, which stores the counts.

    protocol   the interface of every ledger
    writer     the writing thread: a queue, commits in groups, futures; of any store
    deletion   the time of deletion, on which more than one clock agrees. Pure
    budget     deadlines of reads, and turns that accounts share
    upkeep     the schedule of totals and retention; of any store
    sqlite/    the ledger as one SQLite file
    clickhouse/  the ledger on a ClickHouse server, of several processes
    moving     moves a SQLite ledger to a ClickHouse server

Never imports `asking` or a route.
"""

from wsedge_statistics.ledger.protocol import LateCounts, Ledger, Room, SeenKey, StoredStatement

__all__ = ["LateCounts", "Ledger", "Room", "SeenKey", "StoredStatement"]
