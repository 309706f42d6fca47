"""Sluice's extension of MiniStack: the behaviour that the local cloud needs and MiniStack 1.5.33
lacks.

Start it with ``python -m sluice_ministack``. Each module is about one concern, declares the names
of MiniStack it depends on (``TARGETS``) and changes them in ``install()``; nothing is changed by an
import.
"""
