"""The running operator: from an event of the API server to the writes that it causes.

reading      lists and watches the served namespaces, again after each failure
optional     lists and watches kinds of APIs that may be installed or not
intake       puts objects of lists and watches into the cache, requests keys
cache        objects of the cluster, without the fields that no decision reads
triggers     which keys a change of an object concerns
agenda       which keys to reconcile, and when: `queue` and `wakeups`
controller   workers, which give each key to the reconciler of its kind
reconcilers/ snapshot, decision, writes: one module per kind of key
accounts     snapshots of accounts; snapshots: snapshots of WebSocketDomains
stage        which domains' pods a change of the operator may replace now
writer       carries outcomes out
directory    PUTs the Directory to the statistics when it is due
discovery    resolves the address of the statistics
lease        one operator leads; rivals: no two releases serve one namespace
clock, metrics, admin (health and metrics over HTTP)
metrics_page writes the table of docs/observability.md
"""
