"""A real Kubernetes control plane and a node agent on one machine, without root."""
