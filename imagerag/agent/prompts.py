"""Prompts: their content for a judge, and the wording of references for a generator."""

import unicodedata
from collections.abc import Sequence
from typing import Final

from imagerag.agent.control_tokens import neutralised
from imagerag.agent.ports import ImagePart, ReferenceTemplate
from imagerag.agent.types import UsedReference
from imagerag.agent.visible_text import FILLERS


def says_something(text: str) -> bool:
    """Whether a text has a letter, a digit or a pictograph: of `???` nothing can be found in an image, or missed."""
    kinds = (unicodedata.category(letter) for letter in text if letter not in FILLERS)
    return any(kind[0] in "LN" or kind == "So" for kind in kinds)


def nothing_to_check(prompt: str) -> str:
    """Reason why no judge can judge a prompt without content."""
    return f"nothing of “{' '.join(prompt.split())[:60]}” can be checked: it has no words"


def reference_prompt(
    template: ReferenceTemplate, prompt: str, references: Sequence[UsedReference] | Sequence[ImagePart]
) -> str:
    """The text sent to the generator: its template around the user's own words.

    Only what a model could take for its control tokens is changed in them: no caption poses as a template's tag.
    Positions count over all images sent, in the order they are sent. Without references it is the prompt itself.
    """
    prompt = neutralised(prompt)
    images: Sequence[UsedReference | ImagePart] = references
    captioned = [(n, image, words) for n, image in enumerate(images, start=1) if (words := _words(image))]
    if not captioned:
        return prompt
    # Braces in a caption or a prompt are the user's: str.format never reads the values it inserts.
    items = (template.item_for(image.role).format(caption=words, n=n) for n, image, words in captioned)
    return template.for_images(images).format(items=template.joiner.join(items), prompt=prompt)


_UNNAMED: Final = {"edit": "the picture to edit", "subject": "what is to be in the picture"}
"""What the user's own images are called where they have no name."""


def _words(image: UsedReference | ImagePart) -> str:
    return neutralised(image.caption or image.concept) or _UNNAMED.get(image.role, "")
