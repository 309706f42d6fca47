"""Zips, bills of materials and provenance of the functions that `make build` builds."""
