"""The node agent: kubelet and kube-proxy for processes instead of containers.

    agent      wiring            pod        life of one pod           services   ClusterIP listeners
    api        REST client       container  life of one container     server     kubelet API
    informer   list and watch    volumes    files of mounts           provision  PersistentVolumes
    nodes      Node, Lease       status     PodStatus                 events     Events
    streaming/ kubectl exec and port-forward      simulated  admin port of simulated relays

Pure, without clock or I/O: backoff, environment, mounts, probes, quantities, selectors, status, and
streaming.spdy.
"""
