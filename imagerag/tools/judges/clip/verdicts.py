"""Verdicts, captions and raw responses from region scores."""

import json
from collections.abc import Sequence
from dataclasses import replace

from imagerag.agent.intents import concept_of
from imagerag.agent.types import Concept, Requirement, RequirementCheck, Verdict
from imagerag.tools.judges.clip.checklist import DETERMINERS
from imagerag.tools.judges.clip.feedback import OVERRIDDEN
from imagerag.tools.judges.clip.region_scorer import RegionScore


def unmet_requirements(requirements: Sequence[Requirement], findings: Sequence[RegionScore]) -> list[Requirement]:
    return [requirement for requirement, finding in zip(requirements, findings, strict=True) if not finding.met]


def verdict_of(requirements: Sequence[Requirement], findings: Sequence[RegionScore], raw: str) -> Verdict:
    checks = tuple(
        RequirementCheck(requirement=requirement, met=finding.met, evidence=finding.evidence, unclear=finding.unclear)
        for requirement, finding in zip(requirements, findings, strict=True)
    )
    unmet = [check.requirement for check in checks if not check.met]
    lacking = {finding.text: finding.lacking for finding in findings if finding.lacking}
    vain = {check.requirement for check in checks if check.unclear and check.requirement.text not in lacking}
    concepts = [concept for one in unmet if one not in vain and (concept := concept_of(one)) is not None]
    return Verdict(
        aligned=not unmet,
        score=(len(checks) - len(unmet)) / len(checks) if checks else 1.0,
        checks=checks,
        missing=tuple(
            concept.model_copy(update={"caption": lacking.get(concept.text) or caption_of(concept)})
            for concept in concepts
        ),
        reason=_reason(len(checks), [requirement.text for requirement in unmet]),
        raw=raw,
    )


def joined(text: str, parts: Sequence[RegionScore]) -> RegionScore:
    """The score of a requirement that is checked in parts: all of them are met, and the least of them counts."""
    if not parts:
        return RegionScore(
            text=text, met=True, similarity=1.0, rival="", rival_similarity=0.0, view="", words=OVERRIDDEN
        )
    unmet = [part for part in parts if not part.met]
    least = min(unmet or parts, key=lambda part: part.similarity)
    return replace(
        least,
        text=text,
        met=not unmet,
        unchecked=next((part.unchecked for part in parts if part.unchecked), ""),
        words="; ".join(f"{part.text}: {part.evidence}" for part in parts),
        lacking=", ".join(part.text for part in unmet if not part.unclear),
    )


def abstention(findings: Sequence[RegionScore], raw: str) -> Verdict:
    """Abstention: no part of the prompt can be checked."""
    why = "; ".join(f"“{finding.text}”: {finding.unchecked}" for finding in findings)
    reason = f"nothing of the prompt can be checked: {why or 'it asks for nothing'}"
    return Verdict(status="abstained", aligned=None, reason=reason, raw=raw)


def _reason(count: int, unmet: Sequence[str]) -> str:
    if not unmet:
        return f"all {count} requirements are met" if count != 1 else "the one requirement is met"
    return f"{count - len(unmet)} of {count} requirements met, missing: {'; '.join(unmet)}"


def caption_of(concept: Concept) -> str:
    """Self-contained caption of a concept: `in the style of Van Gogh` needs a subject in that style."""
    alone = concept.kind != "style" or concept.text.split()[0].lower() in DETERMINERS
    return concept.text if alone else f"a picture, {concept.text}"


def scores_as_json(findings: Sequence[RegionScore]) -> str:
    """The judge's raw response: its scores as compact JSON."""
    rows = [
        {
            "requirement": finding.text,
            "met": finding.met,
            "cosine": round(finding.similarity, 4),
            "rival": finding.rival,
            "rival_cosine": round(finding.rival_similarity, 4),
            "view": finding.view,
        }
        for finding in findings
    ]
    return json.dumps(rows, ensure_ascii=False, separators=(",", ":"))
