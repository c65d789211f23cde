"""What a person does by hand in the page that a session shows, as plain data: one class for each kind.

Coordinates are CSS pixels from the upper left corner of the page's viewport, as those of a `Frame`. A host
reads these classes, so they import neither Trio nor structlog.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from greenroom.actors.actions.actions import MAX_TEXT_CHARS, Modifier, PageId

MAX_TYPED_CHARS = 1000
_Pixels = Annotated[float, Meta(ge=-100_000, le=100_000)]
Button = Literal["left", "middle", "right"]


class _Input(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    omit_defaults=True,
):
    """Something done by hand. `page` is the page to do it in, and the selected one if it is left out."""

    page: PageId | None = None

    def __repr__(self) -> str:
        """Leave the fields out: what is typed must not get into a log."""
        return f"{type(self).__name__}(...)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return []


class Mouse(_Input, frozen=True, kw_only=True, tag="mouse"):
    """Move the mouse to a place; there, press a button or let it go. `clicks` counts a double click's."""

    action: Literal["move", "down", "up"]
    x: _Pixels
    y: _Pixels
    button: Button = "left"
    clicks: Annotated[int, Meta(ge=1, le=3)] = 1


class Wheel(_Input, frozen=True, kw_only=True, tag="wheel"):
    """Turn the mouse wheel by so many pixels, over a place."""

    x: _Pixels
    y: _Pixels
    dx: _Pixels = 0
    dy: _Pixels = 0


class Key(_Input, frozen=True, kw_only=True, tag="key"):
    """Press a key and let it go, or do one of both. Keys are named as in Playwright: `Enter`, `a`, `Shift`.

    A `press` may hold `modifiers`.
    """

    key: Annotated[str, Meta(min_length=1, max_length=50)]
    action: Literal["press", "down", "up"] = "press"
    modifiers: Annotated[tuple[Modifier, ...], Meta(max_length=4)] = ()


class Text(_Input, frozen=True, kw_only=True, tag="text"):
    """Type a text into whatever has the focus, key by key."""

    text: Annotated[str, Meta(min_length=1, max_length=MAX_TYPED_CHARS)]


class Paste(_Input, frozen=True, kw_only=True, tag="paste"):
    """Put a text into whatever has the focus, at once."""

    text: Annotated[str, Meta(min_length=1, max_length=MAX_TEXT_CHARS)]


class Release(_Input, frozen=True, kw_only=True, tag="release"):
    """Let go of all keys and buttons that are down by hand."""


Input = Mouse | Wheel | Key | Text | Paste | Release
