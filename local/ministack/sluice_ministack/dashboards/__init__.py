"""Dashboards of CloudWatch without AWS: ``/_sluice/dashboards`` and
``/_sluice/dashboard/NAME``.

``body`` reads what was deployed, ``data`` the metrics that are kept, ``charts`` draws, ``pages``
makes the page.
"""

from .pages import TARGETS

__all__ = ["TARGETS"]
