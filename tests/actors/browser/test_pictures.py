"""How pictures travel in the pieces of a stream."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.actors.browser.wire.frames import MAX_FRAME_BYTES, FrameJoiner, split_frame
from greenroom.actors.browser.wire.framing import MAX_PIECE_BYTES, FrameError
from greenroom.actors.machine.frame import Frame

SIDES = st.integers(1, 65_535)
SIZES = st.sampled_from([1, 2, MAX_PIECE_BYTES - 12, MAX_PIECE_BYTES - 11, MAX_PIECE_BYTES, 200_000])
FRAMES = st.builds(
    Frame,
    page=st.integers(0, 999_999).map(lambda number: f"p{number}"),
    width=SIDES,
    height=SIDES,
    jpeg=SIZES.map(lambda size: b"\xff\xd8" * (size // 2) + b"\xd9" * (size % 2)),
)


@pytest.mark.hypothesis
@given(st.lists(FRAMES, min_size=1, max_size=4))
def test_pictures_arrive_as_they_were_sent(frames: list[Frame]) -> None:
    """Whatever their sizes, in pieces that fit the protocol, one after the other."""
    joiner, arrived = FrameJoiner(), []
    for frame in frames:
        pieces = list(split_frame(frame))
        assert all(0 < len(piece) <= MAX_PIECE_BYTES for piece in pieces)
        *early, last = [joiner.feed(piece) for piece in pieces]
        assert early == [None] * len(early)
        arrived.append(last)
    assert arrived == frames


@pytest.mark.parametrize(
    "frame",
    [
        Frame(page="p1", width=1, height=1, jpeg=b""),
        Frame(page="p1", width=0, height=1, jpeg=b"x"),
        Frame(page="p1", width=1, height=70_000, jpeg=b"x"),
        Frame(page="p1", width=1, height=1, jpeg=bytes(MAX_FRAME_BYTES + 1)),
    ],
)
def test_picture_that_fits_no_frame_is_not_sent(frame: Frame) -> None:
    """The sender notices it."""
    with pytest.raises(FrameError, match="can't be sent"):
        list(split_frame(frame))


@pytest.mark.parametrize(
    "piece",
    [b"short", b"\xff\xff\xff\xff" + bytes(8) + b"x", (3).to_bytes(4, "big") + bytes(8) + b"four"],
)
def test_piece_that_is_no_picture_is_refused(piece: bytes) -> None:
    """A host that sends garbage can't make the daemon keep it."""
    with pytest.raises(FrameError):
        FrameJoiner().feed(piece)
