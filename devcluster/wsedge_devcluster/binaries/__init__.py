"""Programs of the control plane, built from their Go modules and cached.

    build    builds and finds them
    golang   finds a Go toolchain
    cache    the user's cache folder, one builder at a time

Never imports a cluster.
"""
