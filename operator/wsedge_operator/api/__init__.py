"""The resources of group wsedge.io as pydantic models, and the CRDs and reference page made from them."""
