"""Streams between a client of the API server and a pod, within one WebSocket.

execute       kubectl exec
portforward   kubectl port-forward
spdy          the frames of port-forward. Pure
"""
