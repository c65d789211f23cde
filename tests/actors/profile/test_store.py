"""Named profiles: their names, and how they are made and deleted."""

from pathlib import Path

import pytest

from greenroom.actors.errors import ProfileExists, ProfileLocked, ProfileNotFound, ProfileUnusable
from greenroom.actors.lifecycle import ProfileUse, check_profile_name
from greenroom.actors.profile import generations, lease
from greenroom.actors.profile.generations import history_folder, open_writing
from greenroom.actors.profile.removal import remove_tree
from greenroom.actors.profile.store import ProfileStore
from tests.actors.profile.profile_trees import locked_by_other_process, make_profile, snapshot


@pytest.fixture
def store(tmp_path: Path) -> ProfileStore:
    """Return a store whose default profile exists."""
    return ProfileStore(default=make_profile(tmp_path / "user_data"), folder=tmp_path / "profiles")


@pytest.mark.parametrize(
    "name",
    ["", "..", ".", "a/b", "/etc", "a.generations", "A", "-a", "_a", "a" * 33, "ä", "a\n", "a b", "a\0"],
)
def test_name_can_not_leave_the_store(store: ProfileStore, name: str) -> None:
    """Nor be another profile's history. Nothing is touched."""
    for use in (
        check_profile_name,
        store.path_of,
        store.find,
        store.make,
        store.delete,
        lambda name: ProfileUse(name=name),
    ):
        with pytest.raises(ValueError, match="name has 1 to 32 characters"):
            use(name)
    assert not store.folder.exists()


def test_profiles_are_listed(store: ProfileStore) -> None:
    """The default one first; files and other directories are none."""
    assert store.names() == ["default"]
    for name in ("shop", "a-1"):
        assert store.make(name).stat().st_mode & 0o777 == 0o700
    (store.folder / "a file").touch()
    history_folder(store.folder / "shop").mkdir()
    (store.folder / "default").mkdir()
    assert store.names() == ["default", "a-1", "shop"]
    assert store.folder.stat().st_mode & 0o777 == 0o700
    with pytest.raises(ProfileExists, match="'shop' already"):
        store.make("shop")
    with pytest.raises(ProfileExists):
        store.make("default")


def test_profile_that_is_not_there_is_not_found(store: ProfileStore) -> None:
    """Except the default one: whoever uses it says what is wrong."""
    with pytest.raises(ProfileNotFound, match=r"no profile 'shop': `greenroom login shop` makes one"):
        store.find("shop")
    with pytest.raises(ProfileNotFound):
        store.delete("shop")
    assert store.find("default") == store.default


def test_deleted_profile_leaves_nothing(store: ProfileStore) -> None:
    """Its earlier generations hold logins, too. A new one of its name begins anew."""
    path = store.make("shop")
    for _ in range(2):
        with open_writing(path, "test") as writing:
            (writing.new / "prefs.js").touch()
            writing.commit()
    other = snapshot(store.default)
    store.delete("shop")
    assert list(store.folder.iterdir()) == []
    assert snapshot(store.default) == other
    assert generations.history(store.make("shop")) == []


def test_profile_in_use_is_not_deleted(store: ProfileStore) -> None:
    """By a session that is being made of it, or by a browser. Nor is the default one, ever."""
    path = make_profile(store.make("shop") / "inner").parent
    (path / ".parentlock").touch()
    with lease.reading(path), pytest.raises(ProfileLocked):
        store.delete("shop")
    with locked_by_other_process(path):
        before = snapshot(path)
        with pytest.raises(ProfileLocked):
            store.delete("shop")
        assert snapshot(path) == before
    with pytest.raises(ProfileUnusable, match="remove its directory yourself"):
        store.delete("default")


def test_profile_that_is_a_link_is_not_deleted(store: ProfileStore, tmp_path: Path) -> None:
    """Its login would stay where the link leads."""
    real = make_profile(tmp_path / "real")
    store.make("other")
    (store.folder / "shop").symlink_to(real)
    with pytest.raises(ProfileUnusable, match="is a link"):
        store.delete("shop")
    assert (store.folder / "shop").is_symlink()


def test_deletion_that_was_interrupted_can_be_finished(
    store: ProfileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then the profile is not there any more."""
    make_profile(store.make("shop") / "inner")
    calls = iter(range(9))

    def remove_or_stop(path: Path) -> None:
        if next(calls) == 2:  # the first two make room for what is moved away
            raise KeyboardInterrupt
        remove_tree(path)

    with monkeypatch.context() as patched:
        patched.setattr(generations, "remove_tree", remove_or_stop)
        with pytest.raises(KeyboardInterrupt):
            store.delete("shop")
    assert (store.names(), len(list(store.folder.iterdir()))) == (["default"], 1)
    store.delete("shop")
    assert list(store.folder.iterdir()) == []
