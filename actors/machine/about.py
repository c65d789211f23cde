"""What people want to know of a machine."""

import attrs


@attrs.frozen(kw_only=True)
class MachineInfo:
    """What a machine runs browsers with: the engine and its version, and the sandbox, each by its name."""

    engine: str
    engine_version: str
    sandbox: str
