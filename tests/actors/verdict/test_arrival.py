"""What an HTTP answer says about a page's arrival."""

import time
from email.utils import formatdate

import pytest

from greenroom.actors.verdict.arrival import seconds_to_wait


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        *(("0", 0), ("17", 17), ("99999999999999999999", 86_400), ("", None), ("soon", None)),
        *(("-5", None), ("1.5", None), ("Wed, 99 Foo 2026", None), ("Wed, 21 Oct 2015 07:28:00 GMT", 0)),
        *(("Wed, 21 Oct 9999 07:28:00 GMT", 86_400), ("\ud800", None), ("\u0663", None)),
    ],
)
def test_retry_after_is_told_in_seconds(header: str, seconds: int | None) -> None:
    """Retry-After may be a number or a date, and counts for a day at most."""
    assert seconds_to_wait(header) == seconds


def test_retry_after_may_be_a_date() -> None:
    """The result is the seconds from now until that date."""
    assert seconds_to_wait(formatdate(time.time() + 600, usegmt=True)) in {599, 600, 601}
