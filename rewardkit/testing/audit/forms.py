"""The forms in which completions give their answers, and how a reward's own form is learned.

A reward pays a right answer only in the form that it reads: in a box, in tags, after ``####``. An
attack in another form earns nothing and proves nothing. So the form is looked for: every known one
is filled with right answers, and the one that earns most is taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rewardkit.rewards import VerifierReward
from rewardkit.rubric import Rubric

__all__ = ["CODE_FORMS", "FORMS", "WORK", "Form", "forms_for"]

WORK = "Let me work it out step by step."
"""What stands where the working-out goes."""


@dataclass(frozen=True, slots=True)
class Form:
    """A completion with holes: ``{answer}``, and ``{work}`` where there is room for it."""

    name: str
    template: str

    def fill(self, answer: str, work: str = WORK) -> str:
        """A completion. Not ``str.format``: templates hold LaTeX, answers hold braces."""
        before, _, after = self.template.rpartition("{answer}")
        return before.replace("{work}", work) + answer + after.replace("{work}", work)


FORMS = (
    Form("boxed", "{work} The answer is $\\boxed{{answer}}$."),
    Form("plain", "{answer}"),
    Form("sentence", "{work} The answer is {answer}."),
    Form("hashes", "{work}\n#### {answer}"),
    Form("answer tags", "<answer>{answer}</answer>"),
    Form("think, then answer tags", "<think>{work}</think><answer>{answer}</answer>"),
    Form("think, then answer tags, by lines",
         "<think>\n{work}\n</think>\n<answer>\n{answer}\n</answer>"),
    Form("think, then plain", "<think>\n{work}\n</think>\n{answer}"),
    Form("think, then boxed", "<think>\n{work}\n</think>\nThe answer is $\\boxed{{answer}}$."),
    Form("think, then boxed in answer tags",
         "<think>\n{work}\n</think>\n<answer>\n\\boxed{{answer}}\n</answer>"),
    Form("reasoning, then answer tags",
         "<reasoning>{work}</reasoning><answer>{answer}</answer>"),
    Form("reasoning, then answer tags, by lines",
         "<reasoning>\n{work}\n</reasoning>\n<answer>\n{answer}\n</answer>\n"),
    Form("reasoning, then hashes in answer tags",
         "<reasoning>{work}</reasoning><answer>#### {answer}</answer>"),
    Form("working out, then solution",
         "<start_working_out>{work}<end_working_out><SOLUTION>{answer}</SOLUTION>"),
    Form("bold", "{work} It is **{answer}**."),
    Form("formula", "{work} So it is ${answer}$."),
    Form("json", '{"answer": "{answer}"}'),
)  # fmt: skip

CODE_FORMS = (
    Form("code in a fence", "```python\n{answer}\n```"),
    Form("bare code", "{answer}"),
    Form("think, then code", "<think>\n{work}\n</think>\n```python\n{answer}\n```"),
    Form("think, then code in answer tags",
         "<think>\n{work}\n</think>\n<answer>\n```python\n{answer}\n```\n</answer>"),
)  # fmt: skip


def forms_for(rubric: Rubric, *, code: bool) -> tuple[Form, ...]:
    """The forms to try: those that the rubric's own templates and markers ask for, then ours."""
    own = {form.template: form for form in _own(rubric)}
    return (*own.values(), *(f for f in (CODE_FORMS if code else FORMS) if f.template not in own))


def _own(rubric: Rubric) -> Iterator[Form]:
    for name, part in rubric.parts.items():
        verifier = part.verifier if isinstance(part, VerifierReward) else None
        template = getattr(verifier, "template", None)
        if isinstance(template, str) and "..." in template:
            # The last hole is the answer's; what is before it is working-out.
            before, _, after = template.rpartition("...")
            filled = before.replace("...", "{work}")
            yield Form(f"that of {name!r}", filled + "{answer}" + after)
            yield Form(f"that of {name!r}, boxed", filled + "\\boxed{{answer}}" + after)
            yield Form(f"that of {name!r}, hashes", filled + "#### {answer}" + after)
        where = getattr(verifier, "extract", None)
        start, end = getattr(where, "start", None), getattr(where, "end", None)
        if isinstance(start, str) and isinstance(end, str):
            yield Form(f"what {name!r} reads", f"{{work}} {start}{{answer}}{end}")
