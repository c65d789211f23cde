"""What a session's clients share: a driver has these for the whole session, or for all of its sessions."""

from typing import Final

import attrs

# Per session. The driver serves other sessions too, and has descriptors and memory only once.
MAX_OPEN_FILES: Final = 500
MAX_CALL_BYTES: Final = 64 << 20
MAX_SELECTOR_CHARS: Final = 50_000
MAX_SCRIPTS: Final = 500
MAX_SCRIPT_BYTES: Final = 16 << 20


@attrs.define(eq=False)
class Shared:
    """`closing` are the guids of pages that are being closed; `files` are open in the driver.

    `call_bytes` are the parameters of calls under way, `selector_chars` the selectors in them. Init scripts
    and bindings stay: `scripts` of them with `script_bytes`.
    """

    closing: set[str] = attrs.field(factory=set, init=False)
    files: int = attrs.field(default=0, init=False)
    call_bytes: int = attrs.field(default=0, init=False)
    selector_chars: int = attrs.field(default=0, init=False)
    scripts: int = attrs.field(default=0, init=False)
    script_bytes: int = attrs.field(default=0, init=False)
