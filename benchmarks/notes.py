"""Why a row is what it is, and what was tried; by the row's key. The report puts them under its tables."""

from typing import Final

NOTES: Final[dict[str, str]] = {
    "warm-visit": """
The baseline is no session: a browser that has been open all along loads the page again and shows its
content. Why it misses: a warm browser has never loaded the site, so its first page starts a content
process and fills caches, which the same page once more does not (100 to 130 ms of the difference, in
single runs). An empty page is loaded ahead, which helps a little. The site itself is not: it would be
visited with the user's account unasked. Asking whether the browser is well takes 3 to 5 ms of it.
""",
    "cold": """
From asking until the page is there, for both: copying the profile, launching, loading. Greenroom also
judges the login within that time. Why it misses: each session has a host of its own, which imports
Scrapling (0.8 s of a core) and starts a driver while the baseline's process has done the former long
ago. What was tried: the driver starts beside the imports, and the host imports only what it needs. One
host for several sessions is not built yet.
""",
    "memory": """
The proportional share (PSS) of the Python host, the Playwright driver, the browser and, with Greenroom,
the sandboxes, a moment after the page was there, with one session alive. Of the baseline the Python
process counts, of Greenroom the daemon does not: it is there once for all sessions. Why it misses: the
host and the driver, 155 MB, are each session's own. What was tried, with what it saved: leaner imports,
options of the driver, preferences of Firefox that no page can see (docs/decisions.md).
""",
    "cpu": """
User and system time of everything that a session started, from asking to the last process gone, a moment
of life included, as the kernel counts it for a control group. What the kernel says of waited-for
children misses most of a PID namespace, and some of a bare browser. Why it misses: 0.8 s of imports and
0.45 s of the driver's start for each session, and a polite close of 0.4 s.
""",
    "chromium": """
Another browser, with a fresh profile, on which the page shows nobody logged in.
""",
    "selenium": """
Likewise, and its driver starts the browser anew for each session.
""",
    "clone": """
Both read from memory and write to the same filesystem; each copy is removed before the next is made.
""",
    "growth-cpu": """
Linear costs are the same for each session, however many there are.
""",
}
