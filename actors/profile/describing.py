"""What can be said of a profile without a browser."""

import contextlib

from greenroom.actors.errors import GreenroomError, NotLoggedIn, ProfileLocked
from greenroom.actors.lifecycle import ProfileInfo
from greenroom.actors.profile.cloner import ProfileCloner
from greenroom.actors.profile.cookies import read_login
from greenroom.actors.profile.generations import current
from greenroom.actors.profile.lease import reading


def describe(cloner: ProfileCloner, host: str) -> ProfileInfo:
    """Return what there is to know of the profile that `cloner` copies, and its login at `host`. Blocks."""
    holder = problem = None
    try:
        with contextlib.suppress(OSError), reading(cloner.master):  # also of one that has nothing yet
            pass
        cloner.look_at_version()
    except ProfileLocked as exc:
        holder = exc.holder
        problem = None if holder else str(exc)
    except NotLoggedIn as exc:
        problem = exc.hint
    except GreenroomError as exc:
        problem = str(exc)
    login = None
    try:
        login = read_login(cloner.master, host)
    except GreenroomError as exc:
        problem = problem or str(exc)
    generation = current(cloner.master)
    return ProfileInfo(
        name=cloner.name,
        generation=generation.number if generation else None,
        committed_at=generation.committed_at if generation else None,
        login=login.names if login else (),
        login_expires_at=login.expires_at if login else None,
        holder=holder,
        problem=problem,
    )
