"""The tools, by name: what each does, and its arguments, which are the fields of the API's own classes."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from mcp.types import Tool, ToolAnnotations

from greenroom.actors.actions import actions, readings
from greenroom.actors.actions.actions import Action, Operation
from greenroom.actors.actions.readings import Reading
from greenroom.actors.lifecycle import PROFILE_NAME

Json = dict[str, Any]

ACTIONS: Final[Mapping[str, type[Action]]] = {
    "browser_navigate": actions.Navigate,
    "browser_navigate_back": actions.Back,
    "browser_click": actions.Click,
    "browser_type": actions.Type,
    "browser_fill_form": actions.FillForm,
    "browser_press_key": actions.Press,
    "browser_hover": actions.Hover,
    "browser_select_option": actions.SelectOption,
    "browser_drag": actions.Drag,
    "browser_scroll": actions.Scroll,
    "browser_wait_for": actions.WaitFor,
    "browser_evaluate": actions.Evaluate,
    "browser_handle_dialog": actions.Dialog,
}
READINGS: Final[Mapping[str, type[Reading]]] = {
    "browser_snapshot": readings.Snapshot,
    "browser_take_screenshot": readings.Screenshot,
    "browser_console_messages": readings.Console,
    "browser_network_requests": readings.Network,
}

_SESSION: Final[Json] = {
    "session": {
        "type": "string",
        "description": "A session's id. By default, the one that this connection used last, or the only one.",
    }
}
_READS: Final = ToolAnnotations(read_only_hint=True)


class SessionNew(msgspec.Struct, forbid_unknown_fields=True):
    """What `session_new` takes."""

    profile: str = "default"
    write: bool = False


class SessionExtend(msgspec.Struct, forbid_unknown_fields=True):
    """What `session_extend` takes."""

    seconds: float


TABS: Final[Mapping[str, type[Operation]]] = {
    "list": readings.Pages,
    "new": actions.PageNew,
    "select": actions.PageSelect,
    "close": actions.PageClose,
}
"""What `browser_tabs` does, by its argument `action`."""


def all_tools() -> list[Tool]:
    """Return the tools in the order in which they are listed."""
    made = [_tool_of(name, kind) for name, kind in {**ACTIONS, **READINGS}.items()]
    return [*_SESSION_TOOLS, *made, _TABS_TOOL]


def _tool_of(name: str, kind: type[Operation]) -> Tool:
    """Return the tool for a kind of action or resource, with its fields as arguments."""
    definitions: Json = msgspec.json.schema(kind)["$defs"]
    own = definitions.pop(kind.__name__)
    fields = {field: schema for field, schema in own["properties"].items() if field != "kind"}
    required = [field for field in own.get("required", ()) if field != "kind"]
    schema: Json = {"type": "object", "properties": fields | _SESSION, "required": required}
    return Tool(
        name=name,
        description=" ".join((kind.__doc__ or "").split()),
        input_schema=schema | ({"$defs": definitions} if definitions else {}),
        annotations=_READS if name in READINGS else None,
    )


def _tool(name: str, description: str, properties: Json, *required: str, reads: bool = False) -> Tool:
    schema: Json = {"type": "object", "properties": properties, "required": list(required)}
    return Tool(
        name=name, description=description, input_schema=schema, annotations=_READS if reads else None
    )


_SESSION_TOOLS: Final = (
    _tool(
        "session_new",
        "Create a session: a browser that is logged in. It ends by itself after some minutes.",
        {
            "profile": {
                "type": "string",
                "pattern": f"^{PROFILE_NAME}$",
                "default": "default",
                "description": "The profile whose login it has.",
            },
            "write": {
                "type": "boolean",
                "default": False,
                "description": "Save what the session changes in the profile.",
            },
        },
    ),
    _tool("session_list", "List the sessions that have not ended.", {}, reads=True),
    _tool(
        "session_extend",
        "Let a session live longer.",
        {"seconds": {"type": "number", "exclusiveMinimum": 0}, **_SESSION},
        "seconds",
    ),
    _tool("session_end", "End a session.", _SESSION),
)
_TABS_TOOL: Final = _tool(
    "browser_tabs",
    "List the session's tabs, open one, select one, or close one.",
    {
        "action": {"type": "string", "enum": list(TABS)},
        "page": {"type": "string", "description": "The tab to select or close, such as p2."},
        "url": {"type": "string", "description": "What to load in a new tab."},
        **_SESSION,
    },
    "action",
)
