"""Code that tests share, by the program that it belongs to. No module here is a test.

relay           configurations, frames, heads, certificates; a relay in this process
relay_process   a relay as a process, its peers and its traffic
operator        manifests, snapshots, plans and domains in a cluster
statistics      a statistics process, its tokens and a slow, obvious model of it
devcluster      parts of a control plane
browser         Chromium
clients         conversations of real clients
faults          accounts, sites and clients for tests of faults
image           the image, built without a container engine
releases        programs and charts of earlier releases
"""
