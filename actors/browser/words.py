"""What Playwright says when a browser does not start, in the few words that tell."""

import re

# What the browser itself wrote, and the box-drawing characters in which Playwright frames its advice.
_WRITTEN = re.compile(r"\[pid=\d+\]\[err\] (?P<words>.*\S)")
_FRAME = re.compile("[\u2500-\u259f]+")
_MAX_LINES = 3


def unframe(text: str) -> str:
    """Return `text` without the frames that Playwright draws around what it says."""
    if not _FRAME.search(text):
        return text
    lines = (_FRAME.sub("", line).strip() for line in text.splitlines())
    return "\n".join(filter(None, lines))


def plain_reason(detail: str) -> str:
    """Return the reason in one line: what the browser wrote last, else the first of what Playwright says."""
    written = list(dict.fromkeys(match["words"] for match in _WRITTEN.finditer(detail)))
    if written:
        return "; ".join(written[-_MAX_LINES:])
    return next((line.strip() for line in unframe(detail).splitlines() if line.strip()), "")
