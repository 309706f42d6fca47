"""Dashboards of CloudWatch without AWS: ``/_sluice/dashboards`` and
``/_sluice/dashboard/NAME``.

``body`` parses a deployed dashboard, ``data`` reads the stored metrics, ``charts`` draws them, and
``pages`` makes the page.
"""

from .pages import TARGETS

__all__ = ["TARGETS"]
