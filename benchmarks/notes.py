"""Notes on rows, by key: why the figure is what it is, and what was tried. They go under the tables."""

from typing import Final

NOTES: Final[dict[str, str]] = {
    "warm-visit": """
The baseline is not a session: a browser that has been open all along loads the page again and shows its
content. Why it misses: the page itself is new to a warm browser, whose caches have none of its scripts and
pictures; asking the browser whether it is healthy takes 3 to 5 ms. What was tried: a rehearsal, an empty
page of the same site for which the site is not asked, saved a third in a trial (docs/decisions.md). Not
tried yet: reading the document as it came over the network, while the page still runs its scripts.
""",
    "cold": """
Both run from the request until the page is there: copying the profile, launching, loading. Greenroom also
judges the login within that time. Why it misses, narrowly: most of the time is the browser's own start,
which is the same for both. What was tried: hosts that are started ahead and shared, font caches in the
browser's cell, and preferences, none of which did enough to be kept (docs/decisions.md). Five runs on a
quieter machine gave 0.728.
""",
    "memory": """
The proportional share (PSS) of the Python host, the Playwright driver, the browser and, with Greenroom, the
sandboxes, a moment after the page was there. The baseline's Python process counts; Greenroom's daemon does
not, because one daemon serves all sessions. Why it misses: a session alone in its host has the host and the
driver, 173 MB, to itself, and the browser is the same. What was tried, and what it saved: leaner imports,
driver options, Firefox preferences that no page can see (docs/decisions.md).
""",
    "memory-many": """
The memory of all, divided by the number of browsers. Greenroom's share hosts, four sessions each.
""",
    "cpu": """
User and system time of everything that a session started, from the request until the last process is gone,
including a moment of life, as the kernel counts it for a control group. The kernel's count for waited-for
children misses most of a PID namespace, and some of a bare browser. Greenroom's host, which serves a
hundred sessions, is started before.
""",
    "clone": """
Both read from memory and write to the same filesystem; each copy is removed before the next is made. Why it
misses: an earlier run of the same cloning code on this machine gave 0.976; shorter runs of five, before and
after this one, gave 0.831 and 0.936. Both copy in the kernel, and on this machine's shared disk the same
copy takes different times from one run to the next.
""",
    "chromium": """
Another browser, with a fresh profile, to which the page shows nobody logged in.
""",
    "selenium": """
Another browser, with a fresh profile, to which the page shows nobody logged in.
""",
    "relay-call": """
The same program calls in turns the page of a session, through the relay, and that of the baseline's browser,
to whose driver it is connected directly (`bind` with a host and a port). What the relay adds is the daemon's
reading of each message, twice, and the way through its tasks.
""",
    "relay-step": """
A client sends a text of 1 MB into the page and gets it back. A step is what a task does between two moments
at which others may run.
""",
    "growth-cpu": """
With linear costs, each session costs the same, however many there are.
""",
    "sampling": """
The sessions are sleeping processes, sampled every 5 s each as the daemon does. What is left is mostly the
kernel's adding up of each process's memory; a session's 200 processes are ten times those of a browser. The
baseline has the same scan and the same samples, but scans for each session alone.
""",
    "sampling-growth": """
Linear costs are the same for each session, however many there are.
""",
}
