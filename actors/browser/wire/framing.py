"""How messages become bytes, and bytes become messages again. Nothing here does I/O.

A frame is a head, which is a message in JSON, and a body, which is raw bytes:

    bytes 0 to 3    H, the length of the head, big-endian; at most `MAX_HEAD_BYTES`
    bytes 4 to 7    B, the length of the body, big-endian; at most `MAX_PIECE_BYTES`
    H bytes         the head: a JSON object whose `type` names the message
    B bytes         the body

Only a `Piece` has a body, and it always has one. Whatever is longer than a body may be travels as several
pieces, so that other frames can go between them.
"""

from collections.abc import Iterator

import attrs
import msgspec

from greenroom.actors.browser.wire.messages import FromHost, Piece, ToHost

# An action may have an argument of 1 MB, which is JSON in JSON: up to twice as long.
MAX_HEAD_BYTES = 3 << 20
MAX_PIECE_BYTES = 1 << 16
_LENGTH_BYTES = 4
_PREFIX_BYTES = 2 * _LENGTH_BYTES

_to_host: msgspec.json.Decoder[ToHost] = msgspec.json.Decoder(ToHost)
_from_host: msgspec.json.Decoder[FromHost] = msgspec.json.Decoder(FromHost)
# What msgspec raises for bytes that are not such a message; RecursionError for JSON nested too deeply.
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class FrameError(Exception):
    """The protocol was broken: a frame that is too long, not JSON, or an unknown or malformed message."""


@attrs.frozen
class Frame:
    """One frame as it arrived; `head` is still JSON."""

    head: bytes
    body: bytes = b""


def encode(message: ToHost | FromHost, body: bytes | memoryview = b"") -> bytes:
    """Return `message` as one frame. If there is a `body`, the message is a `Piece`.

    Raises `FrameError` if a part is too long, or holds text with lone surrogates. These are how Python
    represents bytes in paths and the environment that are not UTF-8.
    """
    name = type(message).__name__
    try:
        head = msgspec.json.encode(message)
    except UnicodeEncodeError as exc:
        raise FrameError(f"a {name} holds text that is not Unicode: {exc}") from exc
    if len(head) > MAX_HEAD_BYTES or len(body) > MAX_PIECE_BYTES:
        raise FrameError(f"a {name} of {len(head)} and {len(body)} bytes does not fit a frame")
    _check_body(message, len(body))
    lengths = (len(head).to_bytes(_LENGTH_BYTES, "big"), len(body).to_bytes(_LENGTH_BYTES, "big"))
    return b"".join((*lengths, head, body))


def decode_to_host(frame: Frame) -> ToHost:
    """Return the message in a frame sent to a host. Raises `FrameError`."""
    try:
        message = _to_host.decode(frame.head)
    except _UNREADABLE as exc:
        raise FrameError(f"not a message to a host: {exc}") from exc
    _check_body(message, len(frame.body))
    return message


def decode_from_host(frame: Frame) -> FromHost:
    """Return the message in a frame sent by a host. Raises `FrameError`."""
    try:
        message = _from_host.decode(frame.head)
    except _UNREADABLE as exc:
        raise FrameError(f"not a message from a host: {exc}") from exc
    _check_body(message, len(frame.body))
    return message


def _check_body(message: ToHost | FromHost, length: int) -> None:
    if isinstance(message, Piece) != bool(length):
        raise FrameError(f"a {type(message).__name__} with a body of {length} bytes")


@attrs.define(eq=False, repr=False)
class FrameBuffer:
    """Cuts a byte stream, fed in chunks of any size, into frames."""

    _bytes: bytearray = attrs.field(factory=bytearray, init=False)

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Add `data` and yield each frame that it completes. Raises `FrameError` if a frame is too long."""
        self._bytes += data
        while len(self._bytes) >= _PREFIX_BYTES:
            head_length = int.from_bytes(self._bytes[:_LENGTH_BYTES], "big")
            body_length = int.from_bytes(self._bytes[_LENGTH_BYTES:_PREFIX_BYTES], "big")
            if head_length > MAX_HEAD_BYTES or body_length > MAX_PIECE_BYTES:
                raise FrameError(
                    f"a frame of {head_length} and {body_length} bytes is announced; "
                    f"{MAX_HEAD_BYTES} and {MAX_PIECE_BYTES} are allowed"
                )
            head_end = _PREFIX_BYTES + head_length
            end = head_end + body_length
            if len(self._bytes) < end:
                return
            frame = Frame(bytes(self._bytes[_PREFIX_BYTES:head_end]), bytes(self._bytes[head_end:end]))
            del self._bytes[:end]
            yield frame
