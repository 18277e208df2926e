"""The ledger on a ClickHouse server or cluster, shared by several processes of the statistics.

    store       the ledger: the writer's store, the reads, the thread of upkeep
    reads       answers from questions' SQL
    questions   the SQL of questions, by grain
    writes      merges of reports: one batch of rows for each group of the writer
    room        what an account may have
    totals      sums over sources, recomputed from rows; marks of buckets whose totals are not current
    retention   deletions, by partitions of a day
    tenancy     the Directory and the tenures, replaced one after another by all processes
    following   a thread that learns of Directories which other processes stored
    statements  closed statements: the first of a period stays
    schema      tables
    server      the connection

Nothing here depends on which process writes: rows, totals and keys merge by max() or min(), so that what two
processes write at once, or one writes twice, is right in any order.

Never imports `asking` or a route.
"""
