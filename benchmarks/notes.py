"""Why a row is what it is, and what was tried; by the row's key. The report puts them under its tables."""

from typing import Final

NOTES: Final[dict[str, str]] = {
    "warm-visit": """
The baseline is no session: a browser that has been open all along loads the page again and shows its content.
""",
    "cold": """
From asking until the page is there, for both: copying the profile, launching, loading. Greenroom also judges
the login within that time.
""",
    "memory": """
The proportional share (PSS) of the Python host, the Playwright driver, the browser and, with Greenroom, the
sandboxes, a moment after the page was there, with one session alive. Of the baseline the Python process
counts, of Greenroom the daemon does not: it is there once for all sessions.
""",
    "cpu": """
User and system time of everything that a session started, from asking to the last process gone, a moment
of life included, as the kernel counts it for a control group. What the kernel says of waited-for children
misses most of a PID namespace, and some of a bare browser.
""",
    "clone": """
Both read from memory and write to the same filesystem; each copy is removed before the next is made.
""",
    "growth-cpu": """
Linear costs are the same for each session, however many there are.
""",
}
