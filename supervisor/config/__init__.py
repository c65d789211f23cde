"""The settings: their allowed values, their defaults, and the error for a value that is not allowed.

The classes can be used alone. A Python developer who builds one directly gets the same checks and the same
messages as an operator whose settings come from files and the environment.
"""

from greenroom.supervisor.config.choices import OnLoginLost
from greenroom.supervisor.config.settings import SupervisorConfig, TikTokSessionConfig
from greenroom.supervisor.config.validators import InvalidSetting

__all__ = ["InvalidSetting", "OnLoginLost", "SupervisorConfig", "TikTokSessionConfig"]
