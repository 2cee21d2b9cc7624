"""Where things lie that tests read."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SUPPORT = ROOT / "tests" / "support"
GOLDEN = ROOT / "tests" / "golden"
HISTORY = ROOT / "tests" / "history"
SHARED = ROOT.parent / "shared"  # real images and papers, where they are at hand
OUTSIDE = SHARED / "data"
