"""The entrance of a domain (`spec.exposure`): its children, and what their controllers say of them.

children   the writes by which the entrance becomes what the spec asks for
reports    what a Service, an Ingress, a route, a ListenerSet and a Certificate say in their status
state      the condition Exposed, the addresses, and whether Ready waits for them
"""
