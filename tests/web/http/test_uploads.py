"""Files in a body: what is read of it, what is refused, and that no body blocks the event loop."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from quart_trio import QuartTrio

from greenroom.web.http.errors import InvalidRequest
from greenroom.web.http.uploads import MAX_PARTS, Upload, open_uploads, plain_name
from tests.patience import patience

MB = 1 << 20
MULTIPART = "multipart/form-data; boundary=b"
HEAD = b'--b\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\n'
FIELD = b'--b\r\nContent-Disposition: form-data; name="f"\r\n\r\nx\r\n'
END = b"\r\n--b--\r\n"


@asynccontextmanager
async def uploads_of(body: bytes, content_type: str = MULTIPART) -> AsyncIterator[list[Upload]]:
    headers = {"Content-Type": content_type}
    async with (
        QuartTrio("app").test_request_context("/", method="POST", headers=headers, data=body),
        open_uploads() as uploads,
    ):
        yield uploads


@pytest.mark.parametrize("extra", range(-2, 8))
async def test_content_arrives_wherever_it_is_cut(extra: int) -> None:
    """What looks like the start of a boundary may be anywhere in it; fields beside files are left out."""
    contents = [b"x" * ((1 << 14) - len(HEAD) + extra), b"\r\n--" * 40_000, b"\n--bx\r\r\n" * 9000, b""]
    body = FIELD + b"\r\n".join(HEAD + content for content in contents) + END + b"epilogue" * 9000
    async with uploads_of(body) as uploads:
        read = [b"".join([piece async for piece in upload.pieces()]) for upload in uploads]
    assert read == contents
    assert all(upload.content.closed for upload in uploads)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"a=b&" * (10 * MB), "application/x-www-form-urlencoded"),
        (b"&".join(b"%d=" % number for number in range(MB)), "application/x-www-form-urlencoded"),
        (HEAD + b"\r\n--" * (10 * MB) + END, MULTIPART),
        (HEAD + b"\n--bx" * (2 * MB) + END, MULTIPART),
        (HEAD + b"\r" * (40 * MB) + END, MULTIPART),
        (HEAD[:-4] + b";x=y" * (10 * MB), MULTIPART),
        (FIELD * (MB // 2) + END, MULTIPART),
    ],
    ids=["form", "keys", "line ends", "near boundaries", "returns", "header", "fields"],
)
async def test_no_body_takes_the_event_loop_for_long(body: bytes, content_type: str) -> None:
    """Other requests go on meanwhile. The loop's own CPU time shows it, however busy the machine is."""
    async with QuartTrio("app").test_request_context(
        "/", method="POST", headers={"Content-Type": content_type}, data=body
    ):
        started = time.thread_time()
        try:
            async with open_uploads():
                pass
        except InvalidRequest:
            pass
        assert time.thread_time() - started < 0.3


async def test_client_that_leaves_ends_the_reading() -> None:
    """The thread does not go on for nobody."""
    body = HEAD + b"\n--bx" * (9 * MB) + END
    started = time.process_time()

    async def read() -> None:
        async with uploads_of(body):
            pass

    with trio.move_on_after(patience(10.0)) as limit:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
    assert not limit.cancelled_caught
    assert time.process_time() - started < 0.8


@pytest.mark.parametrize(
    ("body", "content_type", "why"),
    [
        (b"a=b", "application/x-www-form-urlencoded", "Expected multipart/form-data with a boundary"),
        (b"a=b", "application/x-url-encoded", "Expected multipart/form-data with a boundary"),
        (HEAD + END, "multipart/mixed; boundary=b", "Expected multipart/form-data with a boundary"),
        (HEAD + END, "multipart/form-data", "with a boundary of 1 to 70"),
        (HEAD + END, f"multipart/form-data; boundary={'b' * 71}", "with a boundary of 1 to 70"),
        (HEAD + END, 'multipart/form-data; boundary="b\u00fc"', "with a boundary of 1 to 70"),
        (b"", MULTIPART, "ends before its last boundary"),
        (HEAD + b"x", MULTIPART, "ends before its last boundary"),
        (FIELD + END, MULTIPART, "at least one file"),
        (b"--b\r\nA: b\r\n\r\nx" + END, MULTIPART, "malformed"),
        (b"--b\r\nContent-Disposition: form-data; filename=\xff\r\n\r\nx" + END, MULTIPART, "malformed"),
        (b"x" * 40_000 + b"\r\n" + HEAD + END, MULTIPART, "is too large"),
        (HEAD[:-4] + b";x=y" * 10_000 + b"\r\n\r\n" + END, MULTIPART, "is too large"),
        (HEAD.replace(b'"a"', b'"."') + END, MULTIPART, "A file has no name"),
        ((HEAD + b"\r\n") * (MAX_PARTS + 1) + END, MULTIPART, f"more than {MAX_PARTS} parts"),
        (HEAD + b"\r\n" + FIELD * MAX_PARTS + END, MULTIPART, f"more than {MAX_PARTS} parts"),
    ],
)
async def test_body_that_has_no_files_is_refused(body: bytes, content_type: str, why: str) -> None:
    """The text says why. Nothing is read of what is no multipart/form-data."""
    with pytest.raises(InvalidRequest, match=why):
        async with uploads_of(body, content_type):
            pass


def test_long_name_is_cut_at_once() -> None:
    """Not character by character, which takes seconds for a body full of such names."""
    started = time.thread_time()
    for _ in range(MAX_PARTS):
        assert plain_name("a/" + "\u00fc" * 8000 + ".mp4").endswith("\u00fc.mp4")
    assert time.thread_time() - started < 1
