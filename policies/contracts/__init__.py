"""Contracts with AWS that are checked without AWS: permissions, limits and events.

``policies/README.md`` describes them; the tests beside this package run them.
"""
