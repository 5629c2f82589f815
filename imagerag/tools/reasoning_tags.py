"""Separate a reasoning model's reasoning from its answer.

Chat templates of such models often open the tag in the prompt, so that the text has only the closing one. Therefore
neither text before the last closing tag nor text after an unclosed opening tag is part of the answer.

Model families and their tags: `<think>` (DeepSeek, Qwen, GLM, MiniMax, Phi, Nemotron, …), `<thought>` (EXAONE, Marco),
`<thinking>`, `<reasoning>`, `<seed:think>` (Seed-OSS), `[THINK]` (Magistral), `◁think▷` (Kimi-VL), `<longcat_think>`,
`<|begin_of_thought|>` (OpenThinker), `<|START_THINKING|>` (Command A), `<|inner_prefix|>` (Apertus), `<unused94>`
(Gemma 3), `<|channel>thought` (Gemma 4), `[unused16]` (Pangu), `<|channel|>analysis` (gpt-oss; without its special
tokens `analysis…assistantfinal…`), "Here is my thought process:" (Granite 3.2), "Thinking..." (Ollama's terminal).
"""

import json
import re
from typing import Any, Final

_CORE: Final = (
    r"(?:think(?:ing)?|thoughts?|reason(?:ing|s)?|reflect(?:ion|ions|ing)?|scratch_?pad|analysis|monologue|cot|"
    r"rationale|deliberat(?:ion|e)|planning|introspection)"
)
_NAME: Final = rf"(?:[\w:.▁-]{{0,24}}?[:_.▁-]|ant|begin|start|end)?{_CORE}(?:[:_.▁-][\w:.▁-]{{1,24}})?"
_TAG: Final = re.compile(
    rf"(?:<|＜|&lt;|◁)\s?[|｜]?\s?(?P<slash>\\?/)?\s?[|｜]?(?P<name>{_NAME})(?:\s[^<>\n]{{0,200}})?\s?[|｜]?(?:>|＞|&gt;|▷)"
    r"|\[\s?(?P<slash2>\\?/)?(?P<name2>(?:(?:begin|start|end)(?:_of)?_)?(?:think(?:ing)?|thoughts?|reasoning))\s?\]",
    re.IGNORECASE,
)
_ENDING: Final = re.compile(r"(?:^|[:_.▁-])(?:end|stop|close)(?:$|[:_.▁-])|^end", re.IGNORECASE)

_CHANNEL: Final = r"(?:<\|end\|>\s*)?(?:<\|start\|>)?\s?(?:assistant\s?)?<\|channel\|>"
_OPENINGS: Final = re.compile(
    rf"{_CHANNEL}(?!\s*final\b)|<\|channel>\s*(?!final)|<unused94>|\[unused16\]|<\|inner_prefix\|>"
    r"|\A\s*(?:assistant)?(?:analysis|commentary)(?=[^\w\s]?[A-Z])|\A\s*Thinking\.\.\.\s"
    r"|\A\W*[Hh]ere(?: is|'s|’s) my (?:thought|thinking|reasoning) process\b"
)
_CLOSINGS: Final = re.compile(
    rf"{_CHANNEL}\s*final\b[^<\n]{{0,60}}(?:<\|constrain\|>[^<\n]{{0,40}})?(?:<\|message\|>|\Z)|<channel\|>|<unused95>"
    r"|\[unused17\]|<\|inner_suffix\|>|assistant(?:<\|channel\|>)?final(?:json\b)?|\.\.\.done thinking\."
)
_GRANITE: Final = re.compile(r"\A\W*here(?: is|'s|’s) my (?:thought|thinking|reasoning) process.*", re.I | re.DOTALL)
_GRANITE_END: Final = re.compile(r"here(?: is|'s|’s) my (?:response|answer)\b[*: ]*", re.IGNORECASE)
_DETAILS: Final = re.compile(r"<details\b[^>]{0,200}\breasoning\b[^>]{0,200}>.*?(?:</details>|\Z)", re.I | re.DOTALL)
"""HTML in which Open WebUI and similar proxies fold reasoning."""

_FENCED: Final = re.compile(r"(`{3,}|~{3,})[^\n`]*\n(.*?)\n?[ \t]*\1", re.DOTALL)


def split_reasoning(text: str) -> tuple[str, str]:
    """The reasoning and the answer of a text; the answer is empty if there is only reasoning.

    A text that is a single JSON document has no reasoning: a tag in it is part of a string, for instance a quoted sign.
    """
    if is_json(text):
        return "", text
    marks = _marks(text)
    last = max((end for _, end, closes in marks if closes), default=0)
    until = min((start for start, _, closes in marks if not closes and start >= last), default=len(text))
    folded = _DETAILS.sub("", text[last:until])
    return (text if folded != text[last:until] else text[:last] + text[until:]), folded


def answer_in(text: str) -> str:
    """The answer in a text, without the reasoning."""
    return split_reasoning(text)[1]


def opened_reasoning(prompt: str) -> str:
    """The reasoning tag that a chat template leaves open at the end of a prompt; empty if there is none."""
    last = max((end for _, end, closes in _marks(prompt) if closes), default=0)
    start = min((start for start, _, closes in _marks(prompt) if not closes and start >= last), default=len(prompt))
    return prompt[start:].rstrip()


def is_json(text: str) -> bool:
    """Whether a text is a single JSON object or list, in a code fence or bare."""
    stripped = text.replace("\ufeff", "").strip()
    fence = _FENCED.fullmatch(stripped)
    stripped = fence.group(2).strip() if fence else stripped
    if not stripped.startswith(("{", "[")) or not stripped.endswith(("}", "]")):
        return False
    try:
        json.loads(stripped, strict=False)
    except (ValueError, RecursionError):
        return False
    return True


def words_of(value: Any) -> str:
    """Text of a reasoning or content field, in any of the servers' shapes."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "\n".join(words for item in value if (words := words_of(item)))
    if isinstance(value, dict):
        return next((words for key in _TEXT_KEYS if (words := words_of(value.get(key)))), "")
    return ""


_TEXT_KEYS: Final = ("text", "thinking", "reasoning", "summary", "content")


def _marks(text: str) -> list[tuple[int, int, bool]]:
    """Positions of tags in a text, and whether each one closes."""
    marks = [(*tag.span(), _closes(tag)) for tag in _TAG.finditer(text)]
    marks += [(*tag.span(), False) for tag in _OPENINGS.finditer(text)]
    marks += [(*tag.span(), True) for tag in _CLOSINGS.finditer(text)]
    if _GRANITE.match(text):
        marks += [(*tag.span(), True) for tag in _GRANITE_END.finditer(text)]
    return sorted(marks)


def _closes(tag: "re.Match[str]") -> bool:
    name = tag["name"] or tag["name2"]
    return bool(tag["slash"] or tag["slash2"] or _ENDING.search(name))
