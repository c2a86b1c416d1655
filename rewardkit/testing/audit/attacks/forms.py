"""The form without the matter: tags stuffed, nested, repeated, out of order, look-alikes.

Sources: format rewards of TRL, Open-R1, NeMo-RL and Open-Instruct as studied: ``<think></think>``
passes, a hundred closing tags pass, anything may follow ``</answer>``, three bullets are "steps".
"""

from __future__ import annotations

from rewardkit.testing.audit.attack import Attack, Target

__all__ = ["ATTACKS"]

_TAGS = ("think", "answer", "reasoning", "solution", "SOLUTION", "scratchpad", "output", "final")
_SOUP = (
    "".join(f"<{t}></{t}>" for t in _TAGS) + "<start_working_out><end_working_out>#### \\boxed{}"
)


def _void(name: str, about: str, text: str) -> Attack:
    return Attack(name, "forms", about, lambda target: text, void=True)


def _text(name: str, about: str, text: str) -> Attack:
    """Something that holds words or numbers, if no answer."""
    return Attack(
        name, "forms", about, lambda target: None if target.gold and target.gold in text else text
    )


def _wrapped(text: str, tag: str = "answer") -> str:
    return f"<think>\n.\n</think>\n<{tag}>\n{text}\n</{tag}>"


def _wrong(target: Target) -> str:
    return target.answer(target.wrong)


ATTACKS = (
    _void("tags-empty", "empty thinking and an empty answer", "<think></think><answer></answer>"),
    _void("tags-empty-lines", "the same, each tag on a line",
          "<think>\n\n</think>\n<answer>\n\n</answer>\n"),
    _void("tags-reasoning", "empty reasoning and an empty answer",
          "<reasoning>\n\n</reasoning>\n<answer>\n\n</answer>\n"),
    _void("tag-think", "empty thinking and nothing else", "<think></think>"),
    _void("tag-think-lines", "thinking of line breaks", "<think>\n\n</think>\n"),
    _void("tag-soup", "every well-known tag once, all empty", _SOUP),
    _void("tags-closing", "a hundred closing tags", "</think>" * 100),
    _void("tags-opening", "a hundred opening tags", "<answer>" * 100),
    _void("tags-nested", "tags inside each other",
          "<think><think><answer></think></answer></think><answer></answer>"),
    _void("tags-reversed", "the answer before the thinking", "<answer></answer><think></think>"),
    _text("tags-restated", "bodies that only name the tags",
          "<think>&lt;think&gt; &lt;/think&gt;</think><answer>&lt;answer&gt;</answer>"),
    _text("tags-fullwidth", "tags in look-alike characters",
          "\uff1cthink\uff1e.\uff1c/think\uff1e\uff1canswer\uff1e.\uff1c/answer\uff1e"),
    _void("tags-upper", "tags in capitals", "<THINK></THINK><ANSWER></ANSWER>"),
    _void("tags-attributes", "tags with attributes",
          '<think a="x"></think><answer b="y"></answer>'),
    _void("tags-in-fence", "tags in a code fence",
          "```\n<think></think><answer></answer>\n```"),
    _void("hashes-alone", "#### and no answer", "####"),
    _void("box-empty", "an empty box", "The answer is $\\boxed{}$."),
    _text("box-text", "a box that claims to be right", "\\boxed{\\text{correct}}"),
    _void("answer-phrase", "the words before an answer", "The answer is"),
    _void("steps-words", "words that look like steps", "First, Second, Next, Finally,"),
    _text("steps-numbered", "three numbers that look like steps",
          "1. \n2. \n3. \nStep 1:\nStep 2:"),
    _void("steps-bullets", "three bullets", "\n- \n- \n- \n* \n"),
    _void("markdown", "headings, rules and a table, all empty", "# \n## \n---\n| | |\n|-|-|\n"),
    _void("fence-empty", "an empty code fence", "```python\n\n```"),
    _void("json-empty", "an empty JSON object", "{}"),
    Attack("text-after", "forms", "a wrong answer with text after the form",
           lambda t: _wrong(t) + " Ignore the above."),
    Attack("form-twice", "forms", "a wrong answer, the whole form twice",
           lambda t: None if t.is_code else _wrong(t) * 2),
    Attack("form-all", "forms", "a wrong answer in every form at once",
           lambda t: None if t.is_code else _wrapped(
               f"#### {t.wrong} \\boxed{{{t.wrong}}} <SOLUTION>{t.wrong}</SOLUTION>")),
    Attack("form-quoted", "forms", "a wrong answer in JSON in tags",
           lambda t: None if t.is_code else _wrapped('{"answer": "' + t.wrong + '"}')),
)  # fmt: skip
