"""The protocol between daemon and host: which messages pass, and which end the connection."""

import itertools
from collections.abc import Iterable
from typing import get_args

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.actors.browser.wire import framing, messages
from greenroom.actors.browser.wire.framing import (
    Frame,
    FrameBuffer,
    FrameError,
    decode_from_host,
    decode_to_host,
    encode,
)
from greenroom.actors.machine.storage_state import Cookie, Item, Origin, StorageState
from greenroom.actors.testing import find_state
from greenroom.actors.verdict import LoginState, Method

TO_HOST: list[messages.ToHost] = [
    messages.Launch(
        id=1,
        session="a",
        engine="firefox",
        executable="/opt/firefox",
        profile="/clones/ä b",
        headless=True,
        marker="o.a",
        scratch="/clones/a.tmp",
        proxy=messages.Proxy(server="http://proxy:1", username="user", password="secret"),
    ),
    messages.Launch(
        id=2,
        session="a",
        engine="camoufox",
        executable="x",
        profile="y",
        headless=False,
        marker="o.a",
        scratch="/s",
    ),
    messages.Navigate(id=3, session="a", url="https://www.tiktok.com/"),
    messages.Navigate(id=4, session="a"),
    messages.Inspect(id=5, session="a", method=Method.DOM, selectors={"logged_in": "[data-e2e='x']"}),
    messages.Restore(
        id=8,
        session="a",
        state=StorageState(
            cookies=(Cookie(name="sessionid", value="x", domain=".tiktok.com"),),
            origins=(Origin(origin="https://a.test", local_storage=(Item(name="k", value="v"),)),),
        ),
    ),
    messages.Rehearse(id=8, session="a", url="https://www.tiktok.com/"),
    messages.Perform(id=10, session="a", credit=4, operation='{"kind":"html"}', timeout_s=2.5),
    messages.View(id=12, session="a", credit=1, fps=12.5, quality=60),
    messages.Record(id=14, session="a", credit=4, picture=True, page=False),
    messages.Input(id=13, session="a", input='{"type":"text","text":"secret"}', timeout_s=5),
    messages.Bind(id=11, session="a", dialogs=True),
    messages.Close(id=6, session="a"),
    messages.Discard(id=9, session="a"),
    messages.Ping(id=7, session="a"),
    messages.Cancel(id=7, session="a"),
    messages.Credit(id=10, session="a", pieces=2),
]
FROM_HOST: list[messages.FromHost] = [
    messages.Ready(version=messages.PROTOCOL_VERSION),
    messages.Done(id=3, session="a"),
    messages.Found(
        id=5,
        session="a",
        finding=attrs.evolve(find_state(Method.HTML, LoginState.LOGGED_IN), viewer="maker", elapsed_ms=1.5),
    ),
    messages.Bound(id=11, session="a", socket="browser/browser-1.sock", browser="browser@1"),
    messages.Unreachable(id=3, session="a", detail="NS_ERROR_NET_RESET"),
    messages.Piece(id=10, session="a"),
    messages.Failed(id=1, session="a", detail='"quotes"\nand \x00 and 🦊'),
    messages.Failed(id=1, session="a", detail="", kind=messages.Failure.TIMEOUT),
    messages.Failed(
        id=1, session="a", detail="", kind=messages.Failure.AMBIGUOUS, told="2 of <b>", matches=2
    ),
    messages.Navigated(session="a"),
    messages.Lost(session="a", detail="gone"),
]
MESSAGES = TO_HOST + FROM_HOST


Message = messages.ToHost | messages.FromHost


def decode(message: Message, frame: Frame) -> Message:
    """Decode `frame` as the receiver of such a message does."""
    return decode_to_host(frame) if isinstance(message, messages.ToHost) else decode_from_host(frame)


def encode_any(message: Message) -> bytes:
    """Return a message as a frame, with a body if it needs one."""
    return encode(message, b"a \0 piece" if isinstance(message, messages.Piece) else b"")


def cut(stream: bytes, cuts: Iterable[int]) -> list[bytes]:
    """Return `stream` in pieces that end at `cuts`."""
    bounds = [0, *sorted(cuts), len(stream)]
    return [stream[start:end] for start, end in itertools.pairwise(bounds)]


def frame_of(message: Message) -> Frame:
    """Return a message as the frame that arrives."""
    (frame,) = FrameBuffer().feed(encode_any(message))
    return frame


def test_examples_cover_every_message() -> None:
    """A message type that is added to the protocol must be added to these tests."""
    assert {type(message) for message in TO_HOST} == set(get_args(messages.ToHost))
    assert {type(message) for message in FROM_HOST} == set(get_args(messages.FromHost))


@pytest.mark.parametrize("message", MESSAGES, ids=repr)
def test_message_fed_byte_by_byte_arrives_whole(message: Message) -> None:
    """Every message comes out as it went in, and with its last byte, not before."""
    buffer = FrameBuffer()
    stream = encode_any(message)
    assert [frame for byte in stream[:-1] for frame in buffer.feed(bytes([byte]))] == []
    (frame,) = buffer.feed(stream[-1:])
    assert decode(message, frame) == message
    assert frame.body == (b"a \0 piece" if isinstance(message, messages.Piece) else b"")


@pytest.mark.parametrize(
    "message",
    [
        messages.Navigate(id=1, session="a", url="http://example.org/\udcff"),
        messages.Launch(
            id=1,
            session="a",
            engine="x",
            executable="/\udcff",
            profile="y",
            headless=True,
            marker="o.a",
            scratch="/s",
        ),
        messages.Failed(id=1, session="a", detail="\ud83e"),
    ],
    ids=lambda message: type(message).__name__,
)
def test_text_that_is_not_unicode_is_refused(message: Message) -> None:
    """Lone surrogates can't be encoded, so the sender gets an error."""
    with pytest.raises(FrameError, match="not Unicode"):
        encode(message)


@given(data=st.data(), chosen=st.lists(st.sampled_from(MESSAGES), max_size=8))
def test_stream_cut_anywhere_gives_the_same_messages(data: st.DataObject, chosen: list[Message]) -> None:
    """However the stream is cut into pieces, empty ones included, the messages arrive in order."""
    stream = b"".join(map(encode_any, chosen))
    pieces = cut(stream, data.draw(st.lists(st.integers(0, len(stream)))))
    buffer = FrameBuffer()
    frames = [frame for piece in pieces for frame in buffer.feed(piece)]
    assert [decode(message, frame) for message, frame in zip(chosen, frames, strict=True)] == chosen


@given(noise=st.binary(max_size=200))
def test_noise_is_a_frame_error_or_nothing(noise: bytes) -> None:
    """Any bytes either give frames or raise `FrameError`, nothing else."""
    buffer = FrameBuffer()
    try:
        for frame in buffer.feed(noise):
            decode_from_host(frame)
    except FrameError:
        pass


@pytest.mark.parametrize("message", MESSAGES, ids=repr)
def test_message_names_its_session(message: Message) -> None:
    """Every message names its session on the wire. Messages about the host itself leave it empty."""
    session = "" if isinstance(message, messages.Ready) else "a"
    assert f'"session":"{session}"'.encode() in encode_any(message)


def test_longest_head_goes_through_and_longer_does_not() -> None:
    """The limit on a frame's head is exact, for the sender too."""
    room = framing.MAX_HEAD_BYTES - len(frame_of(messages.Lost(session="a", detail="")).head)
    message = messages.Lost(session="a", detail="x" * room)
    assert decode_from_host(frame_of(message)) == message
    with pytest.raises(FrameError, match="does not fit"):
        encode(messages.Lost(session="a", detail="x" * (room + 1)))


def test_longest_piece_goes_through_and_longer_does_not() -> None:
    """The limit on a frame's body is exact too."""
    piece = messages.Piece(id=1, session="a")
    longest = bytes(framing.MAX_PIECE_BYTES)
    (frame,) = FrameBuffer().feed(encode(piece, longest))
    assert (decode_from_host(frame), frame.body) == (piece, longest)
    with pytest.raises(FrameError, match="does not fit"):
        encode(piece, longest + b"x")


@pytest.mark.parametrize("message", MESSAGES, ids=repr)
def test_only_a_piece_has_a_body(message: Message) -> None:
    """A body on another message, or a piece without one, is an error for the sender and for the receiver."""
    wrong = b"" if isinstance(message, messages.Piece) else b"x"
    with pytest.raises(FrameError, match="with a body of"):
        encode(message, wrong)
    with pytest.raises(FrameError, match="with a body of"):
        decode(message, Frame(frame_of(message).head, wrong))


def announce(head: int, body: int) -> bytes:
    """Return the beginning of a frame with these lengths."""
    return head.to_bytes(4, "big") + body.to_bytes(4, "big")


def test_announced_giant_is_refused_before_it_comes() -> None:
    """A header that announces too long a frame is an error at once. At the limit, the frame is waited for."""
    head, body = framing.MAX_HEAD_BYTES, framing.MAX_PIECE_BYTES
    assert list(FrameBuffer().feed(announce(head, body))) == []
    for giant in (announce(head + 1, 0), announce(2, body + 1)):
        with pytest.raises(FrameError, match="announced"):
            list(FrameBuffer().feed(giant))


def test_giant_behind_a_good_frame_is_refused_after_it() -> None:
    """Frames that were complete before the error are still delivered."""
    frames = FrameBuffer().feed(encode(messages.Lost(detail="x")) + b"\xff" * 8)
    assert decode_from_host(next(frames)) == messages.Lost(detail="x")
    with pytest.raises(FrameError):
        next(frames)


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"HTTP/1.1 400 Bad Request",
        b"\xff\xfe\x00",
        b"null",
        b"[]",
        b"{}",
        b'{"type":"Ready","version":1} {}',
        b'{"type":"Ready","version":1',
        b'{"type":"Shell","session":"a","id":1}',
        b'{"session":"a","id":1}',
        b'{"type":["Ready"],"version":1}',
        b'{"type":"Ready","session":"","version":"1"}',
        b'{"type":"Ready","session":"","version":1,"more":1}',
        b'{"type":"Ready","session":""}',
        b'{"type":"Done","session":"a"}',
        b'{"type":"Done","session":null,"id":1}',
        b'{"type":"Done","session":"a","id":' + b"9" * 9999 + b"}",
        b'{"type":"Lost","session":"a","detail":"\xff"}',
        b'{"type":"Lost","session":"a","detail":"\\ud800"}',
        b'{"type":"Found","session":"a","id":1,"finding":{"method":"guess","state":"LOGGED_IN"}}',
        b'{"type":"Failed","session":"a","id":1,"detail":"","kind":"fatal"}',
        b'{"type":"Content","session":"a","id":1}',
        b'{"type":"Content","session":"a","id":1,"credit":0}',
        b'{"type":"Credit","session":"a","id":1,"pieces":-1}',
        b'{"type":"Credit","session":"a","id":1,"pieces":1000000}',
        b'{"type":"Screenshot","session":"a","id":1,"credit":1,"image":"gif"}',
        b'{"more":' + b"[" * 100_000 + b"]" * 100_000 + b',"type":"Ready","version":1}',
    ],
    ids=lambda head: head[:60],
)
def test_malformed_message_is_a_frame_error(head: bytes) -> None:
    """Not JSON, unknown types and fields, missing fields, wrong types, hostile nesting: all are refused."""
    with pytest.raises(FrameError):
        decode_from_host(Frame(head))
    with pytest.raises(FrameError):
        decode_to_host(Frame(head))


@pytest.mark.parametrize("message", MESSAGES, ids=repr)
def test_message_in_the_wrong_direction_is_a_frame_error(message: Message) -> None:
    """A host accepts no replies, and the daemon no requests."""
    wrong = decode_from_host if isinstance(message, messages.ToHost) else decode_to_host
    with pytest.raises(FrameError):
        wrong(frame_of(message))
