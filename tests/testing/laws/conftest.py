"""The rewards that break laws stand beside this file."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
try:
    import broken  # noqa: F401
finally:
    sys.path.pop(0)
