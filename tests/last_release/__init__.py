"""The last release's messages and CustomResourceDefinitions, as they were at commit d256935; never edited.

Each version must read what the other writes, in the default case: a new field may be on the wire only where
somebody asked for what it does.
"""
