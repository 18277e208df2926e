"""A running control plane, as a program or a test uses it.

    chart        installs the chart of this checkout
    cluster      starts a cluster, runs kubectl and Helm on it, stops it
    supervisor   the process that starts all components and stops them
    spec         messages between a program and its supervisor

Never imports the quickstart.
"""
