"""What comes of an operation, as plain data."""

import msgspec


class OpenDialog(msgspec.Struct, frozen=True, kw_only=True):
    """A dialog that waits for an answer: the action `dialog` gives it. `type` is as in Playwright."""

    type: str
    message: str


class PageInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a session. A page that shows a dialog, or has crashed, does not say its title."""

    id: str
    url: str
    title: str
    selected: bool = True
    dialog: OpenDialog | None = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an action came to: its value in JSON, the page it left, and the dialog that it opened, if any."""

    page: PageInfo
    value: msgspec.Raw
    dialog: OpenDialog | None = None


class ActionResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one of several actions: how many milliseconds it took, and its value in JSON."""

    kind: str
    ms: int
    page: str
    value: msgspec.Raw
    dialog: OpenDialog | None = None


class Acted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of all actions, the page that the last one left, and its snapshot, if one was wanted."""

    results: tuple[ActionResult, ...]
    page: PageInfo
    snapshot: str | None = None
