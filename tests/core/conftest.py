"""What tests of this folder share is found beside them."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
try:
    import says  # noqa: F401
finally:
    sys.path.pop(0)
