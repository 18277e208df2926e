"""Processes, addresses and keys on this machine; no node agent is known here.

controlplane   command lines and files of etcd and the Kubernetes programs
pki            certificates
ranges         addresses and ports
children       processes that leave nothing behind
"""
