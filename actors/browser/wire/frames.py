"""How pictures of a page travel in the pieces of a stream.

A picture starts with a piece of its own: 12 bytes big-endian, which are the picture's size in bytes (4), the
viewport's width and height in CSS pixels (2 each) and the number of the page (4), then the first bytes of the
JPEG. Further pieces have the rest.
"""

import struct
from collections.abc import Iterator
from typing import Final

import attrs

from greenroom.actors.browser.wire.framing import MAX_PIECE_BYTES, FrameError
from greenroom.actors.machine.frame import Frame

MAX_FRAME_BYTES: Final = 4 << 20
_HEAD = struct.Struct(">IHHI")
_MAX_SIDE = 0xFFFF


def split_frame(frame: Frame) -> Iterator[bytes]:
    """Return the pieces that a picture travels in. Raises `FrameError` if it is too large."""
    size = len(frame.jpeg)
    if not 0 < size <= MAX_FRAME_BYTES or not all(
        0 < side <= _MAX_SIDE for side in (frame.width, frame.height)
    ):
        raise FrameError(f"a picture of {size} bytes, {frame.width} x {frame.height}, can't be sent")
    head = _HEAD.pack(size, frame.width, frame.height, int(frame.page[1:]))
    data = memoryview(head + frame.jpeg)
    for start in range(0, len(data), MAX_PIECE_BYTES):
        yield bytes(data[start : start + MAX_PIECE_BYTES])


@attrs.define
class FrameJoiner:
    """Puts pictures together from their pieces."""

    _head: tuple[int, int, int, int] | None = None
    _jpeg: bytearray = attrs.field(factory=bytearray)

    def feed(self, piece: bytes) -> Frame | None:
        """Take the next piece; return the picture that it completes. Raises `FrameError`."""
        if self._head is None:
            if len(piece) <= _HEAD.size:
                raise FrameError("a picture without a head")
            self._head = _HEAD.unpack_from(piece)
            piece = piece[_HEAD.size :]
        size, width, height, page = self._head
        self._jpeg += piece
        if size > MAX_FRAME_BYTES or len(self._jpeg) > size:
            raise FrameError("a picture is larger than it may be")
        if len(self._jpeg) < size:
            return None
        frame = Frame(page=f"p{page}", width=width, height=height, jpeg=bytes(self._jpeg))
        self._head, self._jpeg = None, bytearray()
        return frame
