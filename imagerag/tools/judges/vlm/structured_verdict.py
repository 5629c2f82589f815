"""Structured verdict of fused judging: its schema, parsing, and voting."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Any, Final, Literal

from pydantic import AliasChoices, BaseModel, BeforeValidator, Field

from imagerag.agent.control_tokens import neutralised
from imagerag.agent.errors import JudgeReplyError
from imagerag.agent.intents import concept_of
from imagerag.agent.prompts import says_something
from imagerag.agent.types import Requirement, RequirementCheck, Verdict
from imagerag.tools.judges.vlm.chat_protocol import Schema
from imagerag.tools.judges.vlm.response_parsing import model_of
from imagerag.tools.model_text import fold, text_of_field

Kind = Literal["content", "style", "likeness", "kept"]
KINDS: Final = ("content", "style", "likeness", "kept")
_NEARLY: Final = 0.85
"""Similarity of a text that a model was to copy with what it wrote, in [0, 1]: it may mend its spelling."""


def _kind(value: Any) -> Any:
    word = fold(value).strip() if isinstance(value, str) else ""
    return next((kind for kind in KINDS if word.startswith(kind)), "kept" if word.startswith("keep") else "content")


class ParsedCheck(BaseModel):
    """One item of the checklist in a response. Evidence precedes the decision, so that the model looks first."""

    number: int = 0
    requirement: Annotated[str, BeforeValidator(text_of_field)] = Field(
        default="", validation_alias=AliasChoices("requirement", "point", "text", "name")
    )
    kind: Annotated[Kind, BeforeValidator(_kind)] = "content"
    evidence: Annotated[str, BeforeValidator(text_of_field)] = ""
    met: bool
    caption: Annotated[str, BeforeValidator(text_of_field)] = ""


class ParsedCritique(BaseModel):
    """A fused response. `aligned` is not requested, but some models send it."""

    checks: list[ParsedCheck] = Field(validation_alias=AliasChoices("checks", "checklist", "requirements"))
    aligned: bool | None = None


def strict_object(**fields: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON schema of an object with these fields, all required and no other."""
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}


STRING: Final = {"type": "string"}
CRITIQUE: Final = Schema(
    "critique",
    strict_object(
        checks={
            "type": "array",
            "items": strict_object(
                number={"type": "integer"},
                requirement=STRING,
                kind={"type": "string", "enum": [*KINDS]},
                evidence=STRING,
                met={"type": "boolean"},
                caption=STRING,
            ),
        }
    ),
)


@dataclass(frozen=True)
class VerdictPayload:
    """Parsed fused response: a check per requirement, and captions of the unmet ones by requirement."""

    checks: tuple[RequirementCheck, ...]
    captions: Mapping[str, str]
    note: str = ""

    @property
    def requirements(self) -> tuple[Requirement, ...]:
        """The checklist."""
        return tuple(check.requirement for check in self.checks)


def parse_critique(text: str, requirements: Sequence[Requirement]) -> VerdictPayload:
    """Parse a fused response on the given checklist or, if that is empty, on the model's own.

    If the model also sends "aligned" and contradicts its own checklist, the checklist wins, unless that would turn a no
    into a yes: then parsing fails.

    Raises:
        RefusalError: content policy.
        JudgeReplyError: wrong form, no checklist, or a missing item of the given one.
    """
    critique = model_of(text, ParsedCritique)
    own = any(requirement.of_prompt for requirement in requirements)
    checks = critique.checks
    pairs = _on(requirements, checks, text) if own else _and_fixed(_own_checklist(checks), requirements, text)
    if not pairs:
        raise JudgeReplyError("the judge's checklist is empty", raw=text)
    aligned = all(check.met for check, _ in pairs)
    if critique.aligned is False and aligned:
        raise JudgeReplyError("the judge says not aligned, and that every point is met", raw=text)
    captions = {c.requirement.text: words for c, words in pairs if not c.met and words}
    note = "the judge called it aligned against its own checklist" if critique.aligned and not aligned else ""
    return VerdictPayload(tuple(check for check, _ in pairs), captions, note)


def _own_checklist(checks: Sequence[ParsedCheck]) -> list[tuple[RequirementCheck, str]]:
    """The model's own checklist; a duplicate item is met only if all its copies are."""
    by_requirement: dict[str, tuple[RequirementCheck, str]] = {}
    for parsed_check in checks:
        words = " ".join(parsed_check.requirement.split())
        if not says_something(words):
            continue
        check, caption = _check(Requirement(text=words, kind=parsed_check.kind), parsed_check)
        before = by_requirement.get(fold(words))
        if before is None or before[0].met:
            by_requirement[fold(words)] = (check, caption) if before is None or not check.met else before
    return list(by_requirement.values())


def _and_fixed(
    own_checks: list[tuple[RequirementCheck, str]], fixed: Sequence[Requirement], text: str
) -> list[tuple[RequirementCheck, str]]:
    """The model's own items, followed by those that it had to add verbatim."""
    if not fixed:
        return own_checks
    by_requirement = {_folded(check.requirement.text): (check, caption) for check, caption in own_checks}
    keys = [_closest(_folded(requirement.text), by_requirement) for requirement in fixed]
    if lacking := [r.text for r, key in zip(fixed, keys, strict=True) if key not in by_requirement]:
        raise JudgeReplyError(f"the judge says nothing about {'; '.join(lacking)}", raw=text)
    own = [pair for key, pair in by_requirement.items() if key not in keys]
    if not own:
        raise JudgeReplyError("the judge's checklist says nothing about the prompt itself", raw=text)
    ends = [(by_requirement[key], requirement) for requirement, key in zip(fixed, keys, strict=True)]
    return [
        *own,
        *(
            (check.model_copy(update={"requirement": requirement}), "" if requirement.image else caption)
            for (check, caption), requirement in ends
        ),
    ]


def _closest(text: str, texts: Iterable[str]) -> str:
    """The text itself, or the one that was nearly copied from it."""
    return next(iter(get_close_matches(text, texts, n=1, cutoff=_NEARLY)), text)


def _folded(text: str) -> str:
    return fold(" ".join(neutralised(text).split()))


def _on(
    requirements: Sequence[Requirement], checks: Sequence[ParsedCheck], text: str
) -> list[tuple[RequirementCheck, str]]:
    """The response on a given checklist, matched by number, or by text if the numbers are unusable."""
    numbers = [one.number for one in checks]
    by: dict[Any, ParsedCheck] = {one.number: one for one in checks}
    keys: list[Any] = list(range(1, len(requirements) + 1))
    if sorted(numbers) != keys:
        by = {_folded(one.requirement): one for one in checks}
        keys = [_folded(requirement.text) for requirement in requirements]
    judged = sum(key in by for key in keys)
    if judged < len(keys) or len(checks) != len(keys):
        message = f"it has {len(checks)} points, {judged} of them the {len(keys)} that were asked about"
        raise JudgeReplyError(f"the judge did not keep to the checklist: {message}", raw=text)
    return [_check(requirement, by[key]) for requirement, key in zip(requirements, keys, strict=True)]


def _check(requirement: Requirement, payload: ParsedCheck) -> tuple[RequirementCheck, str]:
    return RequirementCheck(
        requirement=requirement, met=payload.met, evidence=payload.evidence.strip()
    ), payload.caption.strip()


def combine_votes(answers: Sequence[VerdictPayload], votes: int) -> bool:
    """Whether further responses, up to `votes` in all, could no longer change the majority on any item."""
    remaining = votes - len(answers)
    for column in zip(*(answer.checks for answer in answers), strict=True):
        met = sum(check.met for check in column)
        if not (2 * met > votes or 2 * (met + remaining) <= votes):
            return False
    return True


def majority_vote(answers: Sequence[VerdictPayload]) -> VerdictPayload:
    """Majority per item; a tie is not met, because votes follow only a no."""
    if len(answers) == 1:
        return answers[0]
    checks = []
    captions: dict[str, str] = {}
    for column in zip(*(answer.checks for answer in answers), strict=True):
        votes = sum(check.met for check in column)
        met = 2 * votes > len(column)
        agreeing = next(check for check in column if check.met is met)
        message = f"{agreeing.evidence} [met in {votes} of {len(column)} answers]".strip()
        checks.append(agreeing.model_copy(update={"evidence": message}))
        caption = next((a.captions[c] for a in answers if (c := agreeing.requirement.text) in a.captions), "")
        if not met and caption:
            captions[agreeing.requirement.text] = caption
    return VerdictPayload(tuple(checks), captions, next((answer.note for answer in answers if answer.note), ""))


def verdict_of(judged: VerdictPayload, raw: str) -> Verdict:
    """The verdict: score = met / all; missing concepts use the requirements' own wording.

    The same wording in every round lets the concept tracker see that a concept is still missing, or resolved.
    """
    unmet = [check for check in judged.checks if not check.met]
    concepts = (concept_of(r, judged.captions.get(r.text)) for r in (check.requirement for check in unmet))
    missing = tuple(concept for concept in concepts if concept is not None)
    reason = "; ".join(f"{c.requirement.text}: {c.evidence or 'not met'}" for c in unmet) or "every point is met"
    return Verdict(
        aligned=not unmet,
        score=(len(judged.checks) - len(unmet)) / len(judged.checks),
        checks=judged.checks,
        missing=missing,
        reason=f"{judged.note}: {reason}" if judged.note else reason,
        raw=raw,
    )
