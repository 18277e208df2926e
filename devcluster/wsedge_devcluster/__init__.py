"""A real Kubernetes control plane and a node agent on one machine, without root.

    main         the command wsedge-devcluster
    quickstart/  `make run`: chart, plan, domain, clients, statistics
    cluster/     a running control plane, as a program or a test uses it
    comparison/  clients' counts beside the statistics' answers
    agent/       kubelet and kube-proxy for processes instead of containers
    machine/     processes, addresses and keys of this machine
    binaries/    programs of the control plane, built from their Go modules
    settings     environment of `up`
    errors, log, terminal

Layers: `.importlinter`. No program of the product imports this package.
"""
