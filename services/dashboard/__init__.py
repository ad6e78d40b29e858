"""The dashboard: an overview page and a page per session, on the control plane's own port.

Nothing here is imported before the first of its pages is asked for, except `services.dashboard.entry`.
"""

PATH = "/dashboard"
"""Everything of the dashboard is below this path."""
