"""What was found at one look, and what to do about it."""

import enum
from typing import Final

import attrs

INSTALL: Final = "greenroom install-browser"


class Level(enum.Enum):
    """How bad a finding is; with a FAIL, sessions can't run."""

    OK = "ok"
    WARN = "warning"
    FAIL = "fails"


@attrs.frozen
class Finding:
    """The result of one check, with the command or step that fixes it, if it needs fixing."""

    subject: str
    level: Level
    found: str
    mend: str = ""

    def as_json(self) -> dict[str, str]:
        """Return it for other programs."""
        return {**attrs.asdict(self), "level": self.level.value}
