"""The Dockerfile's image without Docker: a base by debootstrap, built by buildah, run in a chroot.

`building` makes the image and gives its root folder; `Image.start` runs a command of it as a cluster would:
any uid, a root that cannot be written, and no more environment than the image's own and what is given.
"""
