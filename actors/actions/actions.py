"""What can be done in a live session's pages, as plain data: one class for each kind of action.

Kinds and fields are named as in Playwright and its MCP server. In JSON an action is an object whose `kind`
is its class's name in snake case: `{"kind": "click", "target": "e5"}`. A host reads these classes, so they
import neither Trio nor structlog. Times are in seconds.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

MAX_TIMEOUT_S = 300
MAX_TEXT_CHARS = 100_000
MAX_NAME_BYTES = 200  # of a file's name, in UTF-8

PageId = Annotated[
    str,
    Meta(
        pattern=r"^p[1-9][0-9]{0,5}$(?!\n)", description="A page of the session, as `pages` lists it: p1, p2."
    ),
]
Target = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=4000,
        description="An element: a ref of the latest snapshot, such as e5, or a Playwright selector.",
    ),
]
Timeout = Annotated[float, Meta(gt=0, le=MAX_TIMEOUT_S)]
Text = Annotated[str, Meta(max_length=MAX_TEXT_CHARS)]
Url = Annotated[
    str, Meta(max_length=8000, pattern=r"^(?:[hH][tT][tT][pP][sS]?://[^\x00-\x20]+|about:blank)$(?!\n)")
]
FileName = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^/\\\x00-\x1f\x7f]+$(?!\n)")]
Modifier = Literal["Alt", "Control", "ControlOrMeta", "Meta", "Shift"]
WaitUntil = Literal["commit", "domcontentloaded", "load", "networkidle"]
_Distance = Annotated[float, Meta(ge=-1_000_000, le=1_000_000)]


class Operation(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    omit_defaults=True,
):
    """Something that is asked of a session's browser.

    `page` is the page to use, and the selected one if it is left out. `timeout` limits the operation.
    """

    page: PageId | None = None
    timeout: Timeout | None = None

    def __repr__(self) -> str:
        """Leave the fields out: what is typed, or sent to a page, must not get into a log."""
        return f"{type(self).__name__}(...)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return []


class _OnElement(Operation, frozen=True, kw_only=True):
    target: Target


class Navigate(Operation, frozen=True, kw_only=True, tag="navigate"):
    """Load a URL."""

    url: Url
    wait_until: WaitUntil = "load"


class Back(Operation, frozen=True, kw_only=True, tag="back"):
    """Go back in the page's history."""

    wait_until: WaitUntil = "load"


class Forward(Operation, frozen=True, kw_only=True, tag="forward"):
    """Go forward in the page's history."""

    wait_until: WaitUntil = "load"


class Reload(Operation, frozen=True, kw_only=True, tag="reload"):
    """Load the page again."""

    wait_until: WaitUntil = "load"


class Click(_OnElement, frozen=True, kw_only=True, tag="click"):
    """Click an element, twice if `double`."""

    button: Literal["left", "middle", "right"] = "left"
    modifiers: tuple[Modifier, ...] = ()
    double: bool = False


class Type(_OnElement, frozen=True, kw_only=True, tag="type"):
    """Put text into a field in place of what it holds, and press Enter if `submit`.

    `slowly` types it key by key after what the field holds, for pages that react to keys.
    """

    text: Text
    submit: bool = False
    slowly: bool = False


class Field(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One field of a form: text goes into a text field or chooses an option, a boolean ticks a box."""

    target: Target
    value: Text | bool

    def __repr__(self) -> str:
        return "Field(...)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return []


class FillForm(Operation, frozen=True, kw_only=True, tag="fill_form"):
    """Fill in several fields, in order."""

    fields: Annotated[tuple[Field, ...], Meta(min_length=1, max_length=100)]


class Press(Operation, frozen=True, kw_only=True, tag="press"):
    """Press a key, such as `Enter`, `a` or `Control+A`, in an element or in whatever has the focus."""

    key: Annotated[str, Meta(min_length=1, max_length=100)]
    target: Target | None = None


class Hover(_OnElement, frozen=True, kw_only=True, tag="hover"):
    """Move the mouse over an element."""


class SelectOption(_OnElement, frozen=True, kw_only=True, tag="select_option"):
    """Choose options of a `<select>` by their values or labels, in place of those that are chosen."""

    values: Annotated[tuple[Text, ...], Meta(max_length=1000)]


class CheckBox(_OnElement, frozen=True, kw_only=True, tag="check"):
    """Tick a checkbox or choose a radio button."""


class UncheckBox(_OnElement, frozen=True, kw_only=True, tag="uncheck"):
    """Untick a checkbox."""


class Drag(_OnElement, frozen=True, kw_only=True, tag="drag"):
    """Drag the element `target` onto the element `to`."""

    to: Target


class Scroll(Operation, frozen=True, kw_only=True, tag="scroll"):
    """Scroll an element into view, or turn the mouse wheel by `dx` and `dy` pixels."""

    target: Target | None = None
    dx: _Distance = 0
    dy: _Distance = 0


class WaitFor(Operation, frozen=True, kw_only=True, tag="wait_for"):
    """Wait until all that is named has come about: a text or an element is visible, a text is gone, the
    page's URL matches a glob pattern, so many seconds have passed.
    """  # noqa: D205  # the list is the summary

    text: Text | None = None
    text_gone: Text | None = None
    target: Target | None = None
    url: Annotated[str, Meta(min_length=1, max_length=8000)] | None = None
    seconds: Annotated[float, Meta(ge=0, le=MAX_TIMEOUT_S)] | None = None


class Evaluate(Operation, frozen=True, kw_only=True, tag="evaluate"):
    """Evaluate a JavaScript expression, or call a function with `arg`, in the page; awaits promises.

    The value comes back as JSON of at most 1 MB. It is null if the page went to another document meanwhile.
    """

    expression: Annotated[str, Meta(min_length=1, max_length=MAX_TEXT_CHARS)]
    arg: Any = None


class Upload(_OnElement, frozen=True, kw_only=True, tag="upload"):
    """Choose files in a file input: names of files that were sent to the session before."""

    files: Annotated[tuple[FileName, ...], Meta(max_length=100)]


class Dialog(Operation, frozen=True, kw_only=True, tag="dialog"):
    """Answer the dialog that the page shows or is about to show: an alert, a question, a prompt."""

    accept: bool = True
    text: Text | None = None


class PageNew(Operation, frozen=True, kw_only=True, tag="page_new"):
    """Open a page, load `url` in it if one is given, and select it."""

    url: Url | None = None


class PageSelect(Operation, frozen=True, kw_only=True, tag="page_select"):
    """Select the page `page`: actions that name no page use it from now on."""


class PageClose(Operation, frozen=True, kw_only=True, tag="page_close"):
    """Close a page. The session's last page can't be closed: end the session instead."""


Action = (
    Navigate
    | Back
    | Forward
    | Reload
    | Click
    | Type
    | FillForm
    | Press
    | Hover
    | SelectOption
    | CheckBox
    | UncheckBox
    | Drag
    | Scroll
    | WaitFor
    | Evaluate
    | Upload
    | Dialog
    | PageNew
    | PageSelect
    | PageClose
)

_LOADS = (Navigate, Back, Forward, Reload, PageNew)
ACTION_S = 5.0
NAVIGATION_S = 30.0


def timeout_of(operation: Operation) -> float:
    """Return how many seconds an operation may take."""
    if operation.timeout is not None:
        return operation.timeout
    if isinstance(operation, WaitFor) and operation.seconds is not None:
        return min(operation.seconds + ACTION_S, MAX_TIMEOUT_S)
    return NAVIGATION_S if isinstance(operation, _LOADS) else ACTION_S
