"""Upper bounds on the calls of a run, by role, and on their cost where prices are known.

`max_calls` is a ceiling: no run that is not resumed makes more calls. It counts every answer that cannot be read and is
asked for again, and every try of a step that fails on the way. `expected_calls` is what a run makes that uses all its
rounds while every model answers at once.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from imagerag.agent.calls.costs import estimator_of, max_cost_with
from imagerag.agent.extraction_schedule import TEMPERATURES
from imagerag.agent.judge_image_check import CHECK_IMAGES, needs_image_check
from imagerag.agent.ports import (
    ImageGenerator,
    Judge,
    PriceEstimator,
    Reranker,
    WebLibrary,
    capabilities_of,
    members_of,
    reranks_by_model,
)
from imagerag.agent.retrieval.reranking import LOOKED_AT
from imagerag.agent.retrieval.web_search import ASKED, ROLE
from imagerag.agent.size_translation import check_size
from imagerag.agent.types import BUILT_IN_LIBRARY, RunConfig, RunSpec
from imagerag.graphs.dependencies import Dependencies
from imagerag.graphs.generation import TRIES
from imagerag.graphs.mask_validation import check_draws, check_edits, check_takes_mask
from imagerag.graphs.mismatch_warnings import warnings_with
from imagerag.graphs.recorded_image_checks import recall_images
from imagerag.graphs.services_of_run import services_of
from imagerag.graphs.start_node import check_search
from imagerag.store.library.database import is_there
from imagerag.tools.fallback.request_fitting import expected_losses
from imagerag.tools.healthcheck import server_warnings

CAPTION_BYTES = 1000
"""How long a caption may be for the estimate in money to hold; the usual encoder reads about 300."""

REPLAYED = "with `cache=replay` no call is made: the run fails at the first one whose answer is not recorded"

READABLE = 2
"""How often a question is asked until its answer can be read."""


class RoleEstimate(BaseModel):
    """The calls of one role.

    Attributes:
        backend: its identity.
        votes: requests that one call can make of the backend that answers it.
        expected_calls: calls when every model answers at once and all rounds are used.
        max_calls: calls that no run exceeds.
        expected_cost_usd: US dollars of the expected calls, at ordinary lengths of responses; None when not known.
        requests_at_most: what services may be asked: each call can go to all backends of a fallback, and take votes.
        max_cost_per_call_usd: US dollars that the most expensive of these calls can cost; None when that is not known.
        max_cost_usd: of all of them.
    """

    model_config = ConfigDict(extra="forbid")

    role: str
    backend: str
    votes: int
    expected_calls: int
    max_calls: int
    expected_cost_usd: float | None = None
    requests_at_most: int
    max_cost_per_call_usd: float | None
    max_cost_usd: float | None


class Estimate(BaseModel):
    """The estimate of a run.

    Attributes:
        max_calls: votes counted; with `max_calls`, never more than that.
        expected_cost_usd: of the expected calls, if no model reasons at length; None when a price is not known.
        max_cost_usd: None when the most that a call can cost is not known; `has_unknown_cost` says whose.
        priced: whether the costs of all calls will be known once they are made.
        notes: what the numbers do not say.
        warnings: what is likely to go wrong with such a run, and what to type instead.
    """

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    schema_name: Literal["imagerag.estimate/1"] = Field(default="imagerag.estimate/1", alias="schema")
    expected_calls: int
    max_calls: int
    expected_cost_usd: float | None = None
    max_cost_usd: float | None
    roles: list[RoleEstimate]
    priced: bool
    has_unknown_cost: list[str]
    notes: list[str]
    warnings: list[str] = Field(default_factory=list)


def estimate(
    config: RunConfig,
    *,
    generator: ImageGenerator,
    judge: Judge,
    reranker: Reranker | None = None,
    library: bool = True,
    web: Sequence[WebLibrary] = (),
    prompt: str = "",
    subjects: int = 0,
    initial_image: bool = False,
    mask: bool = False,
    done: Mapping[str, int] | None = None,
) -> Estimate:
    """Estimate the calls and the cost of a run with this config and these backends. No model is called.

    Args:
        reranker: what orders the candidates that passed, if there is one; it makes calls only when it looks.
        library: whether there is one; without it nothing is ever redrawn.
        web: services that are asked for what it lacks.
        prompt: the user's words, for the estimate in money.
        subjects: how many images of the user's own are sent along.
        initial_image: whether the first image is handed in instead of drawn.
        mask: whether the first subject has one; it is sent like an image.
        done: calls by role that the run has made already; they are not made again.
    """
    room = max(0, config.reference_limit(generator.max_references) - subjects)
    redraws = config.max_rounds if library and room else 0
    searches = min(config.max_rounds, redraws + 1)  # a round that finds nothing has asked what to look for
    drawings, looks = redraws + (not initial_image), redraws + 1
    asks = len(TEMPERATURES) if judge.honours else 1  # how often a round asks what is missing
    again, stepwise = TRIES - 1, config.judge_mode == "stepwise"
    captions = searches * asks * (2 * READABLE + again)
    images = 1 + subjects + (room if redraws and capabilities_of(judge).sees_references else 0)
    text = len(prompt.encode())
    roles = [
        _role(generator, "generate", drawings, drawings * TRIES, config, text + (subjects + room) * CAPTION_BYTES,
              mask + subjects + (room if redraws else 0)),
        _role(judge, "judge.critique", looks, looks * (READABLE + again), config, text, images),
        _role(judge, "judge.missing_concepts", searches * stepwise, searches * asks * TRIES, config, text, images),
        _role(judge, "judge.captions", searches * stepwise, captions, config, text, images),
        _role(judge, "judge.compare", redraws * stepwise, 2 * redraws, config, text, 2),
    ]  # fmt: skip
    if drawings and needs_image_check(judge, generator, config, 1 + subjects):  # of the first verdict: `check_images`
        roles.insert(0, _role(judge, CHECK_IMAGES, 1, TRIES, config, 0, 1 + subjects))
    backends: list[ImageGenerator | Judge | Reranker | WebLibrary] = [generator, judge]
    if reranker is not None and reranks_by_model(reranker) and library:
        ahead = config.start == "retrieve" and not initial_image
        # Of each ask the searches by caption, and one with the prompt itself.
        most = (searches * (asks * LOOKED_AT + 1) + ahead) * TRIES
        bytes_sent = text + (config.candidates + 1) * CAPTION_BYTES
        candidate_images = config.candidates if capabilities_of(reranker).needs_images else 0
        roles.append(_role(reranker, "rerank", searches + ahead, most, config, bytes_sent, candidate_images))
        backends.append(reranker)
    ahead = config.start == "retrieve" and not initial_image
    for service in web if redraws or ahead else ():
        # Of each ask the searches for what is missing, and one with the prompt itself; the usual run asks once a round.
        most = (searches * (asks * ASKED + 1) + ahead) * TRIES
        roles.append(_role(service, ROLE, searches + ahead, most, config, text, 0))
        backends.append(service)
    made = {role.role: role.max_calls for role in roles} if config.cache == "replay" else done or {}
    total = _summed([_without(role, made.get(role.role, 0)) for role in roles], config, backends)
    sent = [] if config.cache == "replay" else map(_sent_words, web)
    return total.model_copy(update={"notes": [*total.notes, *sent]})


async def estimate_setup(
    dependencies: Dependencies,
    setup: RunSpec,
    *,
    prompt: str = "",
    subjects: int = 0,
    edits: bool = False,
    initial_image: bool = False,
    mask: bool = False,
    done: Mapping[str, int] | None = None,
) -> Estimate:
    """Estimate the calls and the cost of a run with this setup. No model is called.

    Raises:
        SpecError: a backend that there is not.
        UsageError: a mask, an edit or a size, and a generator that takes, does or draws no such; a workflow that its
            server cannot run; or a library that is not there or cannot be searched.
    """
    generator, judge = dependencies.generator(setup.generator), dependencies.judge(setup.judge)
    if edits:
        check_edits(generator)
    elif setup.config.start == "generate" and not initial_image:
        check_draws(generator)
    if mask:
        check_takes_mask(generator)
    check_size(generator, setup.config.size)
    if needs_image_check(judge, generator, setup.config, 1 + subjects):
        await recall_images(dependencies, judge, 1 + subjects)
    total = estimate(
        setup.config,
        generator=generator,
        judge=judge,
        reranker=dependencies.reranker(setup.reranker, setup.judge) if setup.reranker else None,
        library=setup.library is not None,
        web=await services_of(setup, dependencies),
        prompt=prompt,
        subjects=subjects,
        initial_image=initial_image,
        mask=mask,
        done=done,
    )
    name = setup.library
    if name == BUILT_IN_LIBRARY and not is_there(dependencies.home, name):
        name = None  # it would have to be made for it
    library = await dependencies.library(name) if name else None
    await check_search(library, setup.config)
    unreachable = () if setup.config.cache == "replay" else await server_warnings(generator)
    warned = [*unreachable, *warnings_with(setup, library, prompt)]
    references = setup.config.reference_limit(generator.max_references)
    lost = expected_losses(generator, setup.config.size, references=references, mask=mask)
    notes = [*total.notes, *(f"if it is called in place of the first: {one}" for one in lost)]
    return total.model_copy(update={"warnings": warned, "notes": notes})


def _sent_words(service: WebLibrary) -> str:
    return f"{service.name} is sent the words for what is missing, where no library of yours has an image of it"


def _role(
    port: ImageGenerator | Judge | Reranker | WebLibrary,
    role: str,
    usual: int,
    at_most: int,
    config: RunConfig,
    text: int,
    images: int,
) -> RoleEstimate:
    partial_images = config.partial_images if role == "generate" else 0
    tariff = _assumed(estimator_of(port), config)
    each = max_cost_with(tariff, text, images, config.size, partial_images) if at_most else 0.0
    ordinary = tariff.usual(text, images, config.size) if usual else 0.0
    return RoleEstimate(
        role=role,
        backend=port.identity,
        votes=_votes(port, role),
        expected_calls=usual,
        max_calls=at_most,
        expected_cost_usd=None if ordinary is None else round(ordinary * usual, 12),
        requests_at_most=at_most * _requests(port, role),
        max_cost_per_call_usd=each,
        max_cost_usd=None if each is None else round(each * at_most, 12),
    )


def _without(role: RoleEstimate, done: int) -> RoleEstimate:
    """A role's calls without those that were made already."""
    if not done:
        return role
    usual, at_most = max(0, role.expected_calls - done), max(0, role.max_calls - done)
    each = role.max_cost_per_call_usd
    per_call = None if role.expected_cost_usd is None else role.expected_cost_usd / max(1, role.expected_calls)
    update = {
        "expected_calls": usual,
        "max_calls": at_most,
        "requests_at_most": at_most * (role.requests_at_most // max(1, role.max_calls)),
        "expected_cost_usd": None if per_call is None else round(per_call * usual, 12),
        "max_cost_usd": None if each is None else round(each * at_most, 12),
    }
    return role.model_copy(update=update)


def _assumed(tariff: PriceEstimator, config: RunConfig) -> PriceEstimator:
    usd = config.assume_cost_usd_per_call
    return tariff if usd is None else tariff.assuming(usd)


def _requests(port: object, role: str) -> int:
    """Requests that one call can make of services: all members of a fallback, and every vote of a judge."""
    return sum(_votes(member, role) for member in members_of(port))


def _votes(port: object, role: str) -> int:
    """Requests that one call can make of the backend that answers it."""
    return capabilities_of(port).votes if role == "judge.critique" else 1


def _summed(roles: list[RoleEstimate], config: RunConfig, backends: Sequence[object]) -> Estimate:
    calls, usual = sum(role.max_calls * role.votes for role in roles), sum(role.expected_calls for role in roles)
    called = [role for role in roles if role.max_calls]
    unpriced = sorted({role.backend for role in called if role.max_cost_usd is None})
    usd: float | None = None if unpriced else round(sum(role.max_cost_usd or 0.0 for role in called), 12)
    parts = [role.expected_cost_usd for role in called]
    expected = None if None in parts else round(sum(part or 0.0 for part in parts), 12)
    priced = all(estimator_of(port).known for port in backends)
    lost = "a resumed run asks again what was lost when it was stopped"
    notes = [REPLAYED if config.cache == "replay" else lost]
    if config.max_calls is not None and config.max_calls < calls:
        calls, usual = config.max_calls, min(usual, config.max_calls)
        notes.append(f"`max_calls` ends it after {config.max_calls} calls; the roles are without it")
    if config.max_cost_usd is not None:
        expected = None if expected is None else min(expected, config.max_cost_usd)
        if usd is not None:
            usd = min(usd, config.max_cost_usd)
        elif not priced:
            notes.append("with `max_cost_usd` no call is made to a backend whose price is not known")
    if not priced and config.assume_cost_usd_per_call is not None:
        notes.append(f"a call whose price is not known is counted as ${config.assume_cost_usd_per_call:g}")
    if unpriced:
        notes.append("not known what a call can cost: `assume_cost_usd_per_call=X`, or imagerag prices set")
    return Estimate(
        expected_calls=usual,
        max_calls=calls,
        expected_cost_usd=expected,
        max_cost_usd=usd,
        roles=roles,
        priced=priced,
        has_unknown_cost=unpriced,
        notes=notes,
    )
