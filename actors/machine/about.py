"""What people want to know about a machine."""

import attrs


@attrs.frozen(kw_only=True)
class MachineInfo:
    """What a machine runs browsers with: the engine and its version, and the sandbox, each as its name."""

    engine: str
    engine_version: str
    sandbox: str
