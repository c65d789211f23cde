"""The objects that a driver has shown to one client."""

from typing import Final

import attrs

ROOT: Final = ""


@attrs.define(eq=False)
class _Object:
    type: str
    parent: str
    children: set[str] = attrs.field(factory=set)


def _root() -> dict[str, _Object]:
    return {ROOT: _Object("Root", ROOT)}


@attrs.define(eq=False, repr=False)
class Objects:
    """A tree of objects, by guid. An object goes together with those below it."""

    pages: set[str] = attrs.field(factory=set, init=False)
    """The guids of all pages."""
    _all: dict[str, _Object] = attrs.field(factory=_root, init=False)

    def type_of(self, guid: str) -> str:
        """Return an object's type, "" where there is no such object."""
        found = self._all.get(guid)
        return found.type if found is not None else ""

    def create(self, guid: str, type_: str, parent: str) -> None:
        """Add an object below its parent."""
        self.dispose(guid)
        self._all[guid] = _Object(type_, parent)
        if (above := self._all.get(parent)) is not None:
            above.children.add(guid)
        if type_ == "Page":
            self.pages.add(guid)

    def adopt(self, parent: str, guid: str) -> None:
        """Move an object below another parent."""
        if (moved := self._all.get(guid)) is None:
            return
        if (before := self._all.get(moved.parent)) is not None:
            before.children.discard(guid)
        moved.parent = parent
        if (above := self._all.get(parent)) is not None:
            above.children.add(guid)

    def dispose(self, guid: str) -> set[str]:
        """Remove an object and all below it; return their guids. The root stays."""
        gone = {guid} & self._all.keys() - {ROOT}
        waiting = list(gone)
        if waiting and (above := self._all.get(self._all[guid].parent)) is not None:
            above.children.discard(guid)
        while waiting:
            below = self._all.pop(waiting.pop()).children & self._all.keys() - gone
            gone |= below
            waiting += below
        self.pages -= gone
        return gone
