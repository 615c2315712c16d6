"""Before runs start: fetch their data once, and tell once where it is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from train.catalogue import DATA_SETS
from train.config import Settings
from train.data.loading import FOLDERS, load_data
from train.place import Place


def prepared(settings_list: Sequence[Settings], place: Place) -> Place:
    """Return the place with the data that the runs need in it.

    What is to be fetched is fetched here, not by every run at once. Where all runs need the same
    files and they are not there, that is said here, not by each of them.

    Raises what `train.data.load_data` raises.
    """
    needed = {one.data: one for one in settings_list if _has_files(one)}
    if place.download:
        for settings in needed.values():
            load_data(settings, root=place.data_root, download=True)
        return replace(place, download=False)
    if len({one.data for one in settings_list}) == 1:
        for name in needed:
            _check(name, place)
    return place


def _has_files(settings: Settings) -> bool:
    return settings.data in DATA_SETS and DATA_SETS[settings.data].has_files


def _check(name: str, place: Place) -> None:
    # Deferred: torchvision costs a second.
    if name in FOLDERS:
        from train.data.folders import check_folders

        check_folders(place.data_root)
    else:
        from train.data.vision import check_present

        check_present(name, place.data_root)
