"""docs/settings.md says what the settings classes say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_settings_page_is_fresh() -> None:
    script = [sys.executable, ROOT / "infra" / "settings_page.py"]
    fresh = subprocess.run(script, capture_output=True, text=True, check=True).stdout
    assert (ROOT / "docs" / "settings.md").read_text() == fresh, "run `make settings`"
    undescribed = [line for line in fresh.splitlines() if line.endswith("|  |")]
    assert not undescribed
