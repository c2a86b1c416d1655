"""Attacks on a reward: what it pays for text that deserves nothing, on the user's own rows.

- :func:`audit`: attack a rubric, verifier or function, get an :class:`AuditReport`.
- :class:`Attack`: one attack, a name and a function; those of other packages are found by the entry
  point group ``rewardkit.attacks``. :func:`all_attacks`: every one there is.
- :class:`Target`: what an attack is given to work with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rewardkit._lazy import lazy

if TYPE_CHECKING:
    from rewardkit.testing.audit.attack import Attack, Target, all_attacks
    from rewardkit.testing.audit.report import AuditReport, Finding
    from rewardkit.testing.audit.running import audit

__all__ = ["Attack", "AuditReport", "Finding", "Target", "all_attacks", "audit"]

__getattr__ = lazy(
    __name__,
    {
        "rewardkit.testing.audit.attack": ("Attack", "Target", "all_attacks"),
        "rewardkit.testing.audit.report": ("AuditReport", "Finding"),
        "rewardkit.testing.audit.running": ("audit",),
    },
)
