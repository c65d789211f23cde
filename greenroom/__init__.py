"""Greenroom for Python developers: open a supervisor in your own nursery and ask it for sessions.

All that is public is listed in `greenroom.public`, which is imported when a name of it is first asked for.
Browser hosts run this file too, and the daemon's modules, with Trio and structlog, would cost each of them
12 MB and 0.1 s.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from greenroom.public import *  # noqa: F403 - what is public is listed once, there
else:

    def __getattr__(name: str) -> object:
        if name == "__all__" or not name.startswith("_"):
            public = importlib.import_module("greenroom.public")
            if name == "__all__" or name in public.__all__:
                return getattr(public, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *importlib.import_module("greenroom.public").__all__})
