"""Every table's results on one page for a browser, without a server."""

from a2u.reproduce.html_report.make import make_page

__all__ = ["make_page"]
