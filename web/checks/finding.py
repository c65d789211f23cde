"""The result of one check, and what to do about it."""

import enum
from typing import Final

import attrs

INSTALL: Final = "greenroom install-browser"


class Level(enum.Enum):
    """How bad a finding is. Sessions can't run while there is a FAIL."""

    OK = "ok"
    WARN = "warning"
    FAIL = "fails"


@attrs.frozen
class Finding:
    """The result of one check. `fix` is the command or step that fixes it; empty if nothing needs fixing."""

    subject: str
    level: Level
    found: str
    fix: str = ""

    def as_json(self) -> dict[str, str]:
        """Return the finding as `greenroom doctor --json` prints it."""
        return {**attrs.asdict(self), "level": self.level.value}
