"""The user's own settings in a profile that an automated browser uses.

Playwright replaces `user.js` with its own preferences. Firefox copies them into `prefs.js`, where they stay,
and empties the list of open tabs. So what a browser leaves of these files in a new generation is replaced by
what the generation before has.
"""

import contextlib
import shutil
from pathlib import Path

_OWN = ("user.js", "prefs.js", "sessionstore.jsonlz4")
# Playwright's copy of the preferences, and the addresses of the browser, which a killed one leaves behind.
_LEFT_BEHIND = ("prefs.js.playwright", "WebDriverBiDiServer.json", "MarionetteActivePort")


def restore_settings(profile: Path, original: Path) -> None:
    """Give a used copy of a profile the settings of `original`: the same files, or none. Raises `OSError`."""
    for name in (*_OWN, *_LEFT_BEHIND):
        (profile / name).unlink(missing_ok=True)
    for name in _OWN:
        with contextlib.suppress(FileNotFoundError):
            shutil.copy2(original / name, profile / name, follow_symlinks=False)
