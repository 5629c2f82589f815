"""Somebody's words on their way to a model: no tokenizer takes any of them for its own control tokens.

A tokenizer knows `<|im_end|>` in a caption from the one that its chat template writes by nothing: the caption would end
the user's turn. So whatever looks like a control token of any family gets other brackets, `‹|im_end|›`, which people
and models read as the same and no tokenizer does. Words that are ours hold nothing of that form.
"""

import re
from collections.abc import Collection, Iterable
from typing import Final

_HTML: Final = frozenset(
    """
    a abbr article aside b big blockquote body br button caption center cite code dd del div dl dt em fieldset
    figure font footer form h1 h2 h3 h4 h5 h6 head header hr html i iframe input ins kbd label li link main mark
    meta nav ol option p pre q samp script section select small span strong style sub sup table tbody td textarea
    tfoot th thead title tr tt u ul
    """.split()  # noqa: SIM905
)
"""Elements that people write and that end no turn; `s`, `img`, `image`, `video` and `audio` are not among them."""

_UNSEEN: Final = "[\u00ad\u200b-\u200f\u2060-\u2064\ufeff]"
_LESS, _MORE, _BAR = "<＜﹤", ">＞﹥", "|｜︱¦"
_NAMES: Final = (
    r"/?(?:INST|SYS|SYSTEM|TOOL\w*|ARGS|IMG|AUDIO|TRANSCRIBE|PREFIX|SUFFIX|MIDDLE|THINK|CLS|SEP|MASK|PAD|UNK|BOS|EOS|"
    r"BOP|EOP|EOD|EOT|REF|gMASK|sMASK|dMASK|unused\d+|control_\d+|[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)"
)
_TOKEN: Final = re.compile(
    rf"(?P<open>[{_LESS}])(?={_UNSEEN}*[{_BAR}])"  # <|im_end|>, <｜User｜>, <|"|>, and any half of one
    rf"|(?<=[{_BAR}])(?P<unseen>{_UNSEEN}*)(?P<close>[{_MORE}])"
    rf"|(?P<less>[{_LESS}]+)(?P<tag>/?[^\s{_LESS}{_MORE}‹›]{{1,64}})(?P<more>[{_MORE}]+)"  # </s>, <image>, <<SYS>>
    rf"|[\[［](?P<name>{_NAMES}|\|[^\[\]\n]{{1,64}}\|)[\]］]"  # [INST], [|endofturn|]
    r"|◁(?P<white>[^◁▷\n]{1,64})▷"  # ◁think▷
    r"|>>(?P<shout>[A-Z]{2,32})<<"  # >>QUESTION<<
    r"|(?P<minimax>\]~!?b[\[\]]|\[e~\[|\]![pd]~\[|\]<\]|\[>\[)"
)

_WHOLE: Final = re.compile(
    rf"[{_LESS}][{_BAR}][^{_LESS}{_MORE}\n]{{1,64}}[{_MORE}]|[{_LESS}][^\s{_LESS}{_MORE}‹›]{{1,64}}[{_MORE}]"
    rf"|[\[［]{_NAMES}[\]］]|◁[^◁▷\n]{{1,64}}▷"
)


def neutralised(text: str, keep: Collection[str] = ()) -> str:
    """The text with other brackets around whatever a tokenizer could take for a control token; otherwise unchanged.

    Doing it twice changes nothing more.

    Args:
        keep: tokens that are ours and stay, for instance the tags of a generator's own template.
    """
    if not keep:
        return _without_forms(text)
    ours = re.compile("|".join(re.escape(token) for token in sorted(keep, key=len, reverse=True)))
    parts, last = [], 0
    for token in ours.finditer(text):
        parts += [neutralised(text[last : token.start()]), token[0]]
        last = token.end()
    return "".join([*parts, neutralised(text[last:])])


def all_neutralised(texts: Iterable[str]) -> list[str]:
    """Each of the texts, neutralised."""
    return [_without_forms(text) for text in texts]


def control_tokens(text: str) -> list[str]:
    """Parts of a text that a tokenizer could take for its control tokens, each as a whole."""
    return [token[0] for token in _WHOLE.finditer(text)]


def without_tokens(text: str, tokens: Collection[str]) -> str:
    """The text with a space inside each of a tokenizer's own control tokens that is of no usual form."""
    for token in tokens:
        if len(token.strip()) > 1 and token in text:
            text = text.replace(token, f"{token[0]} {token[1:]}")
    return text


def _without_forms(text: str) -> str:
    """The text without any form of a control token; what is between two of them can become another one."""
    while (inert := _TOKEN.sub(_inert, text)) != text:
        text = inert
    return text


def _inert(token: "re.Match[str]") -> str:
    if token["open"]:
        return "‹"
    if token["close"]:
        return f"{token['unseen']}›"
    if token["less"]:
        name = re.sub(_UNSEEN, "", token["tag"]).strip("/").lower()
        if name in _HTML:
            return token[0]
        # `<<[INST]>` has another token in its name.
        return f"{'‹' * len(token['less'])}{neutralised(token['tag'])}{'›' * len(token['more'])}"
    if token["shout"]:
        return f"››{token['shout']}‹‹"
    if token["minimax"]:
        return " ".join(token["minimax"])
    return f"‹{neutralised(token['name'] or token['white'])}›"
