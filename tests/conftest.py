"""Fixtures that several test files share."""

from pathlib import Path

import pytest
from hypothesis import settings

OUTSIDE = Path(__file__).resolve().parents[2] / "shared" / "data"

# No deadline: a shared machine is slow at times. No database: a run does not depend on earlier ones.
settings.register_profile("suite", deadline=None, database=None)
settings.load_profile("suite")


@pytest.fixture(scope="session")
def outside():
    """The folder of real images with known answers; for tests marked `outside`."""
    if not OUTSIDE.is_dir():
        pytest.skip(f"needs real images with known answers in {OUTSIDE}")
    return OUTSIDE
