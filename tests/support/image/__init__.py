"""The Dockerfile's image without Docker: a base by debootstrap, built by buildah, run in a chroot.

`building` builds the image and returns its root folder; `Image.start` runs a command of it as a cluster
would: any uid, a read-only root, and only the image's environment and the given variables.
"""
