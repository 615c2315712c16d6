"""What each tab shows of the sample runs, character by character."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from golden_files import check_golden
from tui_runs import Driver, drive

from nccli.tui.view import TABS

ROOT = Path(__file__).parents[1]
CHANGED = re.compile(r"changed \S+")  # when the checkout was made


@pytest.mark.parametrize("size", [(140, 44), (80, 24)])
def test_each_tab_looks_as_it_did(monkeypatch, size):
    """NCCLI_UPDATE_GOLDEN=1 writes the pictures anew: look at them then."""
    monkeypatch.chdir(ROOT)

    async def session(ui: Driver) -> None:
        for number, tab in enumerate(TABS, 1):
            await ui.press(str(number))
            await ui.until(lambda: ui.app.idle, seconds=120)
            await ui.press()
            text = CHANGED.sub("changed THEN", ui.text)
            check_golden(f"tui/{tab}_{size[0]}x{size[1]}.txt", text + "\n")

    drive(Path("sample_data/runs"), session, size=size)
