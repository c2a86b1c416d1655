"""Well-known rubrics, ready to use: functions that give a :class:`rewardkit.Rubric`.

Each pays exactly what its docstring says, and says what of it can be farmed. Change one as any
rubric: ``gsm8k().weighted(integer=0.0)``, ``gsm8k().gate("integer", on="soft_format")``.
"""

from rewardkit.presets.calculation import arithmetic
from rewardkit.presets.mail import email
from rewardkit.presets.markers import custom_markers
from rewardkit.presets.nearness import proximity_banded, proximity_smooth
from rewardkit.presets.word_problems import gsm8k, gsm8k_eval_matched, gsm8k_two_part

__all__ = [
    "arithmetic",
    "custom_markers",
    "email",
    "gsm8k",
    "gsm8k_eval_matched",
    "gsm8k_two_part",
    "proximity_banded",
    "proximity_smooth",
]
