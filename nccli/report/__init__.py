"""One self-contained HTML page about some runs: every table and figure, and where they are from.

    page = report_page(groups, pairs, command="nccli report runs", when=now)

No script, nothing loaded from anywhere: a content-security policy in the page forbids it.
"""

from nccli.report.page import report_page

__all__ = ["report_page"]
