"""The daemon's settings, and where they come from."""

from greenroom.web.settings.daemon import DaemonSettings
from greenroom.web.settings.sources import SettingsError, load_settings

__all__ = ["DaemonSettings", "SettingsError", "load_settings"]
