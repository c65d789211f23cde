"""Reads the files of a multipart/form-data body, at a cost that its sender can't drive up."""

import contextlib
import re
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import IO, Final

import attrs
import trio
from quart import request
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.sansio.multipart import Data, Field, File, MultipartDecoder, NeedData, State

from greenroom.actors.actions.actions import MAX_NAME_BYTES
from greenroom.actors.threads import Work, limiter
from greenroom.web.http.errors import InvalidRequest

MAX_PARTS: Final = 100
# The decoder searches what it holds anew with each chunk, so it must hold little. The chunk is also what the
# headers of a part may have at least.
_CHUNK_BYTES: Final = 1 << 14
_SPOOL_BYTES: Final = 1 << 19  # in memory, of each file
_PIECE_BYTES: Final = 1 << 16
_BOUNDARY: Final = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")  # RFC 2046, 5.1.1


@attrs.frozen(kw_only=True)
class Upload:
    """One file of a body. `name` is plain: no path, printable, at most `MAX_NAME_BYTES` long."""

    name: str
    content: IO[bytes]

    async def pieces(self) -> AsyncGenerator[bytes]:
        """Yield the content."""
        while piece := self.content.read(_PIECE_BYTES):
            yield piece


@contextlib.asynccontextmanager
async def open_uploads() -> AsyncIterator[list[Upload]]:
    """Yield the files of the current request; their content lasts as long as the block.

    They are read in a thread: the largest body takes seconds. Whatever is not multipart/form-data is refused
    before any of it is read: Quart would also read other forms, on the event loop and without a limit. Fields
    that are no files are left out.

    Raises `InvalidRequest` if there is no file, one has no name, there are more than `MAX_PARTS` parts, or
    the body is malformed or ends early.
    """
    boundary = request.mimetype_params.get("boundary", "")
    if request.mimetype != "multipart/form-data" or not _BOUNDARY.fullmatch(boundary):
        raise InvalidRequest("Expected multipart/form-data with a boundary of 1 to 70 characters")
    body = await request.body
    request.body.clear()  # it is a copy
    with contextlib.ExitStack() as opened:
        uploads = await trio.to_thread.run_sync(
            _read, body, boundary.encode(), opened, limiter=limiter(Work.RESULTS)
        )
        del body
        if not uploads:
            raise InvalidRequest("Expected multipart/form-data with at least one file")
        yield uploads


def plain_name(given: str) -> str:
    """Return a file's name without its path. Raises `InvalidRequest` where nothing is left."""
    name = given.replace("\\", "/").rpartition("/")[2].strip(". ")
    name = "".join(character for character in name if character.isprintable())
    name = name.encode()[-MAX_NAME_BYTES:].decode(errors="ignore")  # the end has the suffix
    if not name:
        raise InvalidRequest("A file has no name")
    return name


def _read(body: bytes, boundary: bytes, opened: contextlib.ExitStack) -> list[Upload]:
    """Return the files of a body, whose content `opened` closes. Ends early if its caller is cancelled."""
    uploads: list[Upload] = []
    content: IO[bytes] | None = None
    parts = 0
    for event in _events(body, boundary):
        match event:
            case File(filename=filename):
                spooled = tempfile.SpooledTemporaryFile(max_size=_SPOOL_BYTES)  # noqa: SIM115 (see next line)
                content = opened.enter_context(spooled)
                uploads.append(Upload(name=plain_name(filename), content=content))
            case Field():
                content = None
            case Data(data=data) if content is not None:
                content.write(data)
        parts += isinstance(event, File | Field)
        if parts > MAX_PARTS:
            raise InvalidRequest(f"There are more than {MAX_PARTS} parts")
    for upload in uploads:
        upload.content.seek(0)
    return uploads


def _events(body: bytes, boundary: bytes) -> Iterator[object]:
    decoder = MultipartDecoder(boundary, max_form_memory_size=2 * _CHUNK_BYTES)
    try:
        for start in range(0, len(body), _CHUNK_BYTES):
            trio.from_thread.check_cancelled()
            decoder.receive_data(body[start : start + _CHUNK_BYTES])
            while not isinstance(event := decoder.next_event(), NeedData):
                yield event
            if decoder.state is State.EPILOGUE:
                return
    except RequestEntityTooLarge:
        raise InvalidRequest("What is before the first part, or a part's headers, is too large") from None
    except ValueError:
        raise InvalidRequest("The multipart/form-data is malformed") from None
    raise InvalidRequest("The multipart/form-data ends before its last boundary")
