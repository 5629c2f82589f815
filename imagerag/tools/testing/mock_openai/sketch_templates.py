"""Inverse of a generator's template: from a prompt to the purpose and caption of each image."""

import re
from functools import cache
from typing import Final, NamedTuple

from imagerag.agent.ports import ReferenceTemplate

_ROLES: Final = ("edit", "subject", "reference")


class PromptImage(NamedTuple):
    """Purpose and caption of an image in a prompt."""

    role: str
    caption: str


def read_back(template: ReferenceTemplate, whole: str, prompt: str) -> tuple[str, dict[int, PromptImage]] | None:
    """The prompt without references, and purpose and caption of each image by position; None if no template matches."""
    head, between, tail = whole.partition("{items}")
    bridge, _, end = tail.partition("{prompt}")
    if not between or not prompt.startswith(head) or bridge not in prompt or not prompt.endswith(end):
        return None
    items, _, scene = prompt[len(head) : len(prompt) - len(end)].partition(bridge)
    images: dict[int, PromptImage] = {}
    for nth, match in enumerate(_items(template).finditer(items), start=1):
        role = next(role for role in _ROLES if match[f"caption_{role}"] is not None)
        number = match.groupdict().get(f"n_{role}")
        images[int(number or nth)] = PromptImage(role, match[f"caption_{role}"])
    return scene, images


@cache
def _items(template: ReferenceTemplate) -> re.Pattern[str]:
    forms = [_form(template.item_for(role), role) for role in _ROLES]
    forms = [form for n, form in enumerate(forms) if template.item_for(_ROLES[n]) != template.item or n == 2]
    captions = [rf"(?P<caption_{role}>(?!))" for role in _ROLES if not any(f"caption_{role}>" in one for one in forms)]
    joiner = re.escape(template.joiner)
    any_of = "|".join([*forms, *captions])
    starts = "|".join(re.sub(r"\(\?P<\w+>(.*?)\)", r"\1", form.partition("(?P<caption_")[0]) for form in forms)
    return re.compile(rf"(?:^|{joiner})(?:{any_of})(?=(?:{joiner})(?:{starts})|$)", re.DOTALL)


def _form(item: str, role: str) -> str:
    """Regular expression of an item, with groups of its own."""
    pattern = re.escape(item).replace(r"\{n\}", rf"(?P<n_{role}>\d+)")
    return pattern.replace(r"\{caption\}", f"(?P<caption_{role}>.*?)")
