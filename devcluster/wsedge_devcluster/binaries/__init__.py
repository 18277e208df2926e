"""Programs of the control plane, built from their Go modules and cached.

    build       builds the programs, and finds them in the cache
    kubernetes  the one line of Kubernetes that the build changes
    golang      finds or installs a Go toolchain
    cache       the user's cache folder, one builder at a time

Never imports a cluster.
"""
