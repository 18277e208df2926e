"""The matrix of `make interop`: real programs, each with and without a relay between them.

matrix              the rows, their runs, and the table in docs/clients.md
peers               clients and servers
builds              how the programs in Go, Java and Rust are built
proxies             nginx, HAProxy and Envoy before the relay
go, java, python, rust
                    clients and servers in these languages, with their locked packages
novnc.mjs           what noVNC does in its page
transcript          what the programs in Go share: how they speak with the tests
portforward         client-go's port forwarding, and a kubelet's
"""
