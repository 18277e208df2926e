"""What a release is made with, outside of the programs. Not part of the distribution.

versions      the version of pyproject.toml, written to every file that repeats it
sbom          the software bill of materials, from requirements.lock
translations  which page of a pair of languages is older
manifests     the chart's objects for those without Helm
"""
