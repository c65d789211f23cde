"""What bodies hold."""

import time

import pytest

from greenroom.web.http.errors import InvalidRequest
from greenroom.web.http.json_bodies import decode
from greenroom.web.http.schemas import FetchRequest


def test_field_that_is_repeated_without_end_takes_no_time() -> None:
    """The last one counts. A decoder that knows its type would read each, at 20 µs for such a number."""
    body = b'{"url":"https://a.example/",' + b'"timeout":1e308,' * 190_000 + b'"timeout":5}'
    started = time.thread_time()
    assert decode(body, FetchRequest).timeout == 5
    assert time.thread_time() - started < 2


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"{", "Input data was truncated"),
        (b"[" * 100_000, "JSON is nested too deeply"),
        (b'{"url":"\xff"}', "not UTF-8"),
        (b"{}", "Object missing required field `url`"),
        (b'{"url":1}', r"Expected `str`, got `int` - at `\$.url`"),
        (b'{"url":"https://a.example/","timeout":1e400}', "Number out of range"),
    ],
)
def test_what_is_wrong_is_told(body: bytes, why: str) -> None:
    """With the field, where it is one."""
    with pytest.raises(InvalidRequest, match=why):
        decode(body, FetchRequest)
