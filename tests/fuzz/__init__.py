"""Fuzz targets, their seeds and their corpus."""
