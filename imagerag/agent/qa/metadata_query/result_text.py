"""The text of a metadata result."""

from imagerag.agent.qa.metadata_query.vocabulary import value_text
from imagerag.agent.qa.types import MetadataResult


def describe_result(finding: MetadataResult) -> str:
    """A finding in words, for a reader who sees the sources beside it."""
    searched = "1 image" if finding.rows == 1 else f"{finding.rows} images"
    parts = [f"The metadata of {searched} was looked through"]
    if finding.kind == "unknown":
        return f"{parts[0]}; the question could not be made out from it."
    condition = finding.condition or "everything"
    parts.append(f"{finding.matched} fit: {condition}")
    if finding.direction:
        parts.append(f"they are ordered by {finding.key}, {finding.direction} first")
        if finding.wanted > 1:
            parts.append(f"the first {finding.wanted} are asked for")
        if finding.rank > 1:
            parts.append(f"number {finding.rank} of that order is asked for, and stands first here")
    if finding.number is not None:
        parts.append(f"the {finding.kind} of {finding.key} is {value_text(finding.number)}")
    if finding.values:
        parts.append(f"values of {finding.asked[0]}: {', '.join(finding.values)}")
    if finding.unknown:
        parts.append(f"no metadata says {', '.join(finding.unknown)}")
    if finding.left_out:
        parts.append(f"left out: {', '.join(finding.left_out)}")
    return "; ".join([*parts, *finding.notes]) + "."
