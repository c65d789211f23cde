"""What Playwright says when a browser does not start, in the few words that tell."""

import re

# What the browser itself wrote, and the frames in which Playwright draws advice.
_WRITTEN = re.compile(r"\[pid=\d+\]\[err\] (?P<words>.*\S)")
_DRAWN = re.compile(r"[\u2500-\u257f]")
_MAX_LINES = 3


def plain_reason(detail: str) -> str:
    """Return the reason in one line: what the browser wrote last, else the first of what Playwright says."""
    written = list(dict.fromkeys(match["words"] for match in _WRITTEN.finditer(detail)))
    if written:
        return "; ".join(written[-_MAX_LINES:])
    lines = (_DRAWN.sub("", line).strip() for line in detail.splitlines())
    return next((line for line in lines if line), "")
