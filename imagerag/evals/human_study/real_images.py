"""A real photo for every case of a study, so that raters recognise an object (a rare bird, say) that they have never
seen.

The photo is the suite's own if there is one; else a library image whose name, tags or caption match the case; else a
reference that any arm used. The photo does not reveal an arm.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from imagerag.agent.errors import ImageRAGError
from imagerag.agent.regular_files import read_regular
from imagerag.evals.dependencies import EvalDependencies
from imagerag.evals.harness.plan import Plan
from imagerag.evals.metrics.encoder_scores import drawn_scene
from imagerag.evals.metrics.retrieval import folded, row_names
from imagerag.evals.result_record import Result
from imagerag.evals.suites.case import Case
from imagerag.store.library.library import Library


@dataclass(frozen=True)
class ReferencePhoto:
    """A real photo.

    Attributes:
        of: its object, in a few words.
        source: "suite" or "library".
    """

    data: bytes = field(repr=False)
    of: str
    source: str


async def reference_photos(
    plan: Plan, results: Iterable[Result], dependencies: EvalDependencies
) -> dict[str, ReferencePhoto]:
    """Case → its real photo; cases without one are left out."""
    by_case: dict[str, list[Result]] = {}
    for result in results:
        by_case.setdefault(result.case, []).append(result)
    library = await _library(plan, dependencies)
    names_by_id = {row.id: row_names(row) for row in await library.rows()} if library else {}
    photos: dict[str, ReferencePhoto] = {}
    for case in plan.suite.cases:
        real = await _of_suite(case) or await _of_library(case, by_case.get(case.id, ()), library, names_by_id)
        if real is not None:
            photos[case.id] = real
    return photos


async def _library(plan: Plan, dependencies: EvalDependencies) -> Library | None:
    try:
        opened: Any = await dependencies.library(plan.setup.library) if plan.setup.library else None
    except ImageRAGError:  # the library was removed since; the suite's own images remain
        return None
    return opened if isinstance(opened, Library) else None


async def _of_suite(case: Case) -> ReferencePhoto | None:
    of = " and ".join(case.truth.labels) or case.prompt
    for photo in case.truth.images:
        try:
            return ReferencePhoto(await asyncio.to_thread(read_regular, photo.path), of, "suite")
        except OSError:
            continue
    if "things" not in case.truth.data:
        return None
    return ReferencePhoto(await asyncio.to_thread(drawn_scene, case.id, case.truth.data), of, "suite")


async def _of_library(
    case: Case, results: Sequence[Result], library: Library | None, names_by_id: Mapping[str, frozenset[str]]
) -> ReferencePhoto | None:
    if library is None:
        return None
    for label in case.truth.labels:
        folded_label = folded(label)
        exact = sorted(sha256 for sha256, names in names_by_id.items() if folded_label in names)
        within = sorted(
            sha256 for sha256, names in names_by_id.items() if any(f" {folded_label} " in f" {name} " for name in names)
        )
        if folded_label and (there := exact or within):
            return ReferencePhoto(await library.image_bytes(there[0]), label, "library")
    candidates = [
        (candidate.similarity, candidate.image.sha256, search.query.concept.text)
        for result in results
        for search in result.searches
        for candidate in search.candidates
        if candidate.decision == "taken"
    ]
    if not candidates:
        return None
    _, sha256, concept = max(candidates)
    try:
        return ReferencePhoto(await library.image_bytes(sha256), concept, "library")
    except ImageRAGError:
        return None


def concept_of(case: Case, real: ReferencePhoto | None, results: Sequence[Result]) -> str:
    """The object of a case, in a few words: its labels, its photo's content, the missing concepts, or its prompt."""
    missing = (entry.concept.text for result in results for entry in result.concepts)
    return " and ".join(case.truth.labels) or (real.of if real else "") or next(missing, case.prompt)
