"""The protocol between daemon and host: what goes through, and what ends the conversation."""

import itertools
from collections.abc import Iterable
from typing import get_args

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.browser import frames
from actors.browser.frames import FrameBuffer, FrameError, decode_from_host, decode_to_host, encode
from actors.testing import find_state
from actors.verdict import LoginState, Method

TO_HOST: list[frames.ToHost] = [
    frames.Launch(
        id=1,
        session="a",
        engine="firefox",
        executable="/opt/firefox",
        profile="/clones/ä b",
        headless=True,
        marker="o.a",
        scratch="/clones/a.tmp",
        proxy=frames.Proxy(server="http://proxy:1", username="user", password="secret"),
    ),
    frames.Launch(
        id=2,
        session="a",
        engine="camoufox",
        executable="x",
        profile="y",
        headless=False,
        marker="o.a",
        scratch="/s",
    ),
    frames.Navigate(id=3, session="a", url="https://www.tiktok.com/"),
    frames.Navigate(id=4, session="a"),
    frames.Inspect(id=5, session="a", method=Method.DOM, selectors={"logged_in": "[data-e2e='x']"}),
    frames.Rehearse(id=8, session="a", url="https://www.tiktok.com/"),
    frames.Close(id=6, session="a"),
    frames.Discard(id=9, session="a"),
    frames.Ping(id=7, session="a"),
    frames.Cancel(id=7, session="a"),
]
FROM_HOST: list[frames.FromHost] = [
    frames.Ready(version=frames.PROTOCOL_VERSION),
    frames.Done(id=3, session="a"),
    frames.Found(
        id=5,
        session="a",
        finding=attrs.evolve(find_state(Method.HTML, LoginState.LOGGED_IN), viewer="maker", elapsed_ms=1.5),
    ),
    frames.Unreachable(id=3, session="a", detail="NS_ERROR_NET_RESET"),
    frames.Failed(id=1, session="a", detail='"quotes"\nand \x00 and 🦊'),
    frames.Lost(session="a", detail="gone"),
]
MESSAGES = TO_HOST + FROM_HOST


def decode(message: frames.ToHost | frames.FromHost, body: bytes) -> frames.ToHost | frames.FromHost:
    """Decode `body` as whoever receives such a message does."""
    return decode_to_host(body) if isinstance(message, frames.ToHost) else decode_from_host(body)


def cut(stream: bytes, cuts: Iterable[int]) -> list[bytes]:
    """Return `stream` in pieces that end at `cuts`."""
    bounds = [0, *sorted(cuts), len(stream)]
    return [stream[start:end] for start, end in itertools.pairwise(bounds)]


def body_of(message: frames.ToHost | frames.FromHost) -> bytes:
    """Return what a frame holds, without its length."""
    return encode(message)[4:]


def test_examples_cover_every_message() -> None:
    """A message type that is added to the protocol must be added to these tests."""
    assert {type(message) for message in TO_HOST} == set(get_args(frames.ToHost))
    assert {type(message) for message in FROM_HOST} == set(get_args(frames.FromHost))


@pytest.mark.parametrize("message", MESSAGES, ids=repr)
def test_message_fed_byte_by_byte_arrives_whole(message: frames.ToHost | frames.FromHost) -> None:
    """Every message comes out as it went in, and with its last byte, not before."""
    buffer = FrameBuffer()
    stream = encode(message)
    assert [body for byte in stream[:-1] for body in buffer.feed(bytes([byte]))] == []
    (body,) = buffer.feed(stream[-1:])
    assert decode(message, body) == message


@pytest.mark.parametrize(
    "message",
    [
        frames.Navigate(id=1, session="a", url="http://example.org/\udcff"),
        frames.Launch(
            id=1,
            session="a",
            engine="x",
            executable="/\udcff",
            profile="y",
            headless=True,
            marker="o.a",
            scratch="/s",
        ),
        frames.Failed(id=1, session="a", detail="\ud83e"),
    ],
    ids=lambda message: type(message).__name__,
)
def test_text_that_is_not_unicode_is_refused(message: frames.ToHost | frames.FromHost) -> None:
    """Lone surrogates have no bytes on the wire: whoever would send one learns it."""
    with pytest.raises(FrameError, match="not Unicode"):
        encode(message)


@given(data=st.data(), chosen=st.lists(st.sampled_from(MESSAGES), max_size=8))
def test_stream_cut_anywhere_gives_the_same_messages(
    data: st.DataObject, chosen: list[frames.ToHost | frames.FromHost]
) -> None:
    """However the stream is cut into pieces, empty ones included, the messages arrive in order."""
    stream = b"".join(map(encode, chosen))
    pieces = cut(stream, data.draw(st.lists(st.integers(0, len(stream)))))
    buffer = FrameBuffer()
    bodies = [body for piece in pieces for body in buffer.feed(piece)]
    assert [decode(message, body) for message, body in zip(chosen, bodies, strict=True)] == chosen


@given(noise=st.binary(max_size=200))
def test_noise_is_a_frame_error_or_nothing(noise: bytes) -> None:
    """No bytes whatever raise anything but `FrameError`."""
    buffer = FrameBuffer()
    try:
        for body in buffer.feed(noise):
            decode_from_host(body)
    except FrameError:
        pass


@pytest.mark.parametrize("message", MESSAGES, ids=repr)
def test_message_names_its_session(message: frames.ToHost | frames.FromHost) -> None:
    """The session is on the wire in every message; only what is about the host itself leaves it empty."""
    session = "" if isinstance(message, frames.Ready) else "a"
    assert f'"session":"{session}"'.encode() in encode(message)


def test_longest_frame_goes_through_and_longer_does_not() -> None:
    """The limit on a frame's body holds to the byte for whoever sends it."""
    room = frames.MAX_FRAME_BYTES - len(body_of(frames.Lost(session="a", detail="")))
    message = frames.Lost(session="a", detail="x" * room)
    (body,) = FrameBuffer().feed(encode(message))
    assert decode_from_host(body) == message
    with pytest.raises(FrameError, match="does not fit"):
        encode(frames.Lost(session="a", detail="x" * (room + 1)))


def test_announced_giant_is_refused_before_it_comes() -> None:
    """Four bytes that announce too long a frame end the conversation; the longest allowed is waited for."""
    assert list(FrameBuffer().feed(frames.MAX_FRAME_BYTES.to_bytes(4, "big"))) == []
    with pytest.raises(FrameError, match="announced"):
        list(FrameBuffer().feed((frames.MAX_FRAME_BYTES + 1).to_bytes(4, "big")))


def test_giant_behind_a_good_frame_is_refused_after_it() -> None:
    """What came whole before the breach is still delivered."""
    bodies = FrameBuffer().feed(encode(frames.Lost(detail="x")) + b"\xff" * 4)
    assert decode_from_host(next(bodies)) == frames.Lost(detail="x")
    with pytest.raises(FrameError):
        next(bodies)


@pytest.mark.parametrize(
    "body",
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
        b'{"more":' + b"[" * 100_000 + b"]" * 100_000 + b',"type":"Ready","version":1}',
    ],
    ids=lambda body: body[:60],
)
def test_malformed_message_is_a_frame_error(body: bytes) -> None:
    """Not JSON, unknown types and fields, missing fields, wrong types, hostile nesting: all the same."""
    with pytest.raises(FrameError):
        decode_from_host(body)
    with pytest.raises(FrameError):
        decode_to_host(body)


@pytest.mark.parametrize("message", MESSAGES, ids=repr)
def test_message_in_the_wrong_direction_is_a_frame_error(message: frames.ToHost | frames.FromHost) -> None:
    """A host takes no replies and the daemon no requests."""
    wrong = decode_from_host if isinstance(message, frames.ToHost) else decode_to_host
    with pytest.raises(FrameError):
        wrong(body_of(message))
