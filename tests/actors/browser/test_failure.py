"""Shortening Playwright's message about a browser that does not start."""

import pytest

from greenroom.actors.browser.client.failure import plain_reason

NO_DISPLAY = """Error: BrowserType.launch_persistent_context: Failed to launch the browser process.
Browser logs:

<launching> /clones/login.tmp/browser --remote-debugging-port=0 --profile /home/me/profile
<launched> pid=17
[pid=17][err] Error: cannot open display: :77
[pid=17] <process did exit: exitCode=1, signal=null>
Call log:
  - <launched> pid=17
  - [pid=17][err] Error: cannot open display: :77
"""
BOXED = """\u2554\u2550\u2550\u2550\u2557
\u2551 Looks like you launched a headed browser without having a XServer running. \u2551
\u255a\u2550\u2550\u2550\u255d"""


@pytest.mark.parametrize(
    ("detail", "reason"),
    [
        (NO_DISPLAY, "Error: cannot open display: :77"),
        (BOXED, "Looks like you launched a headed browser without having a XServer running."),
        ("TargetClosedError: it went", "TargetClosedError: it went"),
        ("", ""),
        ("\n \n", ""),
    ],
    ids=["browser's own", "boxed", "plain", "nothing", "blank"],
)
def test_reason_is_one_line_without_drawings(detail: str, reason: str) -> None:
    """The browser's own output says most; of Playwright's message the first line does."""
    assert plain_reason(detail) == reason


def test_many_lines_of_a_browser_are_not_all_shown() -> None:
    """Only the last lines are kept, which are nearest to the failure."""
    detail = "\n".join(f"[pid=1][err] line {number}" for number in range(9))
    assert plain_reason(detail) == "line 6; line 7; line 8"
