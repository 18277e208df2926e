"""The running operator: from an event of the API server to the writes that answer it.

reading      reads the namespaces that are served, and keeps reading them
intake       takes objects from lists and watches into the cache, requests keys
cache        what the cluster holds, slimmed to what decisions read
triggers     which keys a change of an object concerns
agenda       which keys to reconcile, and when: `queue` and `wakeups`
controller   workers, which give each key to the reconciler of its kind
reconcilers/ snapshot, decision, writes: one module per kind of key
accounts     snapshots of accounts; snapshots: snapshots of WebSocketDomains
writer       carries outcomes out
directory    puts the Directory to the statistics when it is due
discovery    finds the Service of the statistics
lease        one operator leads; rivals: no two serve one namespace
clock, metrics, admin (health and metrics over HTTP)
"""
