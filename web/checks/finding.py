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
    """The result of one check. `fix` is the command or step that fixes it; empty if nothing needs fixing.

    `for_sessions` says that only sessions need it: without it the daemon starts all the same.
    """

    subject: str
    level: Level
    found: str
    fix: str = ""
    for_sessions: bool = attrs.field(default=False, kw_only=True)

    def as_json(self) -> dict[str, str]:
        """Return the finding as `greenroom doctor --json` prints it."""
        return {"subject": self.subject, "level": self.level.value, "found": self.found, "fix": self.fix}
