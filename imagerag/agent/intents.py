"""Three intents for an image that is sent along: it is edited, it appears in a new one, or it informs.

Here is what follows from them for the judge: what an edit had to leave as it was, and which things must be the very
ones that were sent.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Final, Literal

from imagerag.agent.types import Attempt, Concept, Requirement, UsedReference, Verdict

LIKENESS_TAGS: Final = frozenset(
    "product products person people face mascot mascots character brand branding logo logos packaging model".split()  # noqa: SIM905
)
"""Tags of library images of which a drawing must show the very thing."""

KEPT: Final = "everything that the prompt does not ask to change is as in the original"

Likeness = Literal["auto", "always", "never"]


def needs_likeness(choice: Likeness, *, kind: str, tags: Collection[str] = (), role: str = "reference") -> bool:
    """Whether what is drawn with an image must be the very thing that it shows.

    Args:
        choice: the run's.
        kind: of the concept that the image was found for.
        tags: of the library image.
    """
    if choice == "never" or role == "edit" or kind == "style":
        return False
    if choice == "always" or role == "subject" or kind == "likeness":
        return True
    return any(tag.strip().casefold() in LIKENESS_TAGS for tag in tags)


def fixed_requirements(references: Sequence[UsedReference], attempt: Attempt) -> tuple[Requirement, ...]:
    """Requirements beside the prompt, by the images that an image was drawn with.

    Within a mask that is held nothing else can have changed, so nothing is asked about it.
    """
    return tuple(
        requirement for n, image in enumerate(references, start=1) for requirement in _fixed(image, n, attempt)
    )


def _fixed(image: UsedReference, number: int, attempt: Attempt) -> Iterable[Requirement]:
    mask_held = image.mask is not None and attempt.mask is not None and attempt.mask.held
    if image.role == "edit" and not mask_held:
        yield Requirement(text=KEPT, kind="kept", image=number)
    if image.likeness and image.mask is None:
        name = image.concept or image.title or "what is sent along"
        yield Requirement(text=f"{name}: the very one of picture {number}", kind="likeness", image=number)


def concept_of(requirement: Requirement, caption: str | None = None) -> Concept | None:
    """The search text for a requirement that is not met; None where no image of a library can help."""
    if requirement.image is not None or requirement.kind == "kept":
        return None
    kind = "content" if requirement.kind == "feedback" else requirement.kind
    return Concept(text=requirement.text, kind=kind, caption=caption)


def only_unclear_fails(verdict: Verdict) -> bool:
    """Whether nothing but words that can mean several things is not met: nothing can be searched for, or drawn."""
    unmet = [check for check in verdict.checks if not check.met]
    return bool(unmet) and not verdict.missing and all(check.unclear for check in unmet)


def only_comparisons_fail(verdict: Verdict) -> bool:
    """Whether all that the prompt asks for is there, and only something else had to stay, or look, as it was sent.

    There is nothing to search for then: the same is drawn once more.
    """
    unmet = [check.requirement for check in verdict.checks if not check.met]
    return bool(unmet) and not verdict.missing and all(concept_of(requirement) is None for requirement in unmet)
