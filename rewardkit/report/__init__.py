"""What became of a run: a summary for the terminal and a page for the browser.

- :func:`load_run` reads a run folder, also one of a run that died early.
- :func:`summary` is text; :func:`write_html` writes one file that needs nothing else.
"""

from rewardkit.report.page import write_html
from rewardkit.report.run import Run, load_run
from rewardkit.report.summary import summary

__all__ = ["Run", "load_run", "summary", "write_html"]
