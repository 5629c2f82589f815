"""Fallbacks: who answers, who is passed over and why, and what the record says. HTTP is the loopback provider's."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from imagerag.agent.calls.call_context import CallContext, in_call
from imagerag.agent.errors import (
    AuthError,
    BackendError,
    BackendTimeoutError,
    JudgeReplyError,
    QuotaError,
    RateLimitedError,
    RefusalError,
    SpecError,
    UsageError,
)
from imagerag.agent.ports import FREE, ImagePart, ReferenceTemplate, capabilities_of
from imagerag.agent.types import Outcome, RunConfig, RunSpec, SamplingParams, Size
from imagerag.graphs.dependencies import Dependencies
from imagerag.graphs.runs.runner import Runner
from imagerag.store.data_dir import DataDir
from imagerag.tools.fallback.generator import FallbackGenerator
from imagerag.tools.fallback.judge import FallbackJudge
from imagerag.tools.registry import make_generator, make_judge
from imagerag.tools.testing.fakes import ScriptedGenerator, ScriptedJudge, ScriptedLibrary, sample_image
from imagerag.tools.testing.mock_openai import Fault, MockOpenAIServer, MockResponse, tiny_png

SILENT = [
    QuotaError("nothing left"),
    RateLimitedError("too many", retry_after_s=3),
    BackendTimeoutError("no answer in 5 s"),
    AuthError("no key"),
    BackendError("overloaded"),
]
PART = ImagePart(data=sample_image("x"), media_type="image/png", concept="star", caption="a blue star {not a field}")


def two(*script: Any, **second: Any) -> tuple[ScriptedGenerator, ScriptedGenerator]:
    return ScriptedGenerator(*script, identity="one:a"), ScriptedGenerator(identity="two:b", **second)


async def draw(fallback: FallbackGenerator, *parts: ImagePart) -> Any:
    return await fallback.generate("a scene", parts, variation=SamplingParams(), size=None)


@pytest.mark.parametrize("error", SILENT, ids=lambda error: type(error).__name__)
async def test_whoever_does_not_answer_is_passed_over_and_the_reason_kept(error: BackendError) -> None:
    drawn = await draw(FallbackGenerator(two(error)))
    assert drawn.served_by == "two:b"
    assert drawn.fallback_errors == (f"{type(error).__name__}: {error}",)


async def test_the_first_that_answers_is_the_only_one_asked() -> None:
    one, other = two()
    drawn = await draw(FallbackGenerator([one, other]))
    assert (drawn.served_by, drawn.fallback_errors, other.calls) == ("one:a", (), [])


@pytest.mark.parametrize("error", [RefusalError("no violence"), UsageError("too long")])
async def test_what_is_an_answer_is_not_carried_on(error: Exception) -> None:
    one, other = two(error)
    with pytest.raises(type(error), match=str(error)):
        await draw(FallbackGenerator([one, other]))
    assert other.calls == []


async def test_a_refusal_steps_down_when_asked_to() -> None:
    drawn = await draw(FallbackGenerator(two(RefusalError("no violence")), on_refusal=True))
    assert drawn.fallback_errors == ("RefusalError: no violence",)
    one, other = two(RefusalError("no"))
    other.enqueue(RefusalError("never"))
    with pytest.raises(RefusalError, match="no; then RefusalError: never"):
        await draw(FallbackGenerator([one, other], on_refusal=True))


async def test_a_refusal_after_a_step_down_says_who_was_asked_before() -> None:
    one, other = two(QuotaError("empty"))
    other.enqueue(RefusalError("never"))
    with pytest.raises(RefusalError, match="QuotaError: empty; then RefusalError: never"):
        await draw(FallbackGenerator([one, other]))


@pytest.mark.parametrize(
    ("errors", "retryable", "wait"),
    [
        ([QuotaError("a"), AuthError("b")], False, None),
        ([QuotaError("a"), RateLimitedError("b", retry_after_s=7)], True, 7),
        ([RateLimitedError("a", retry_after_s=9), RateLimitedError("b", retry_after_s=7)], True, 7),
        ([BackendError("a"), RateLimitedError("b", retry_after_s=7)], True, None),
    ],
)
async def test_when_nobody_answers_it_is_worth_another_try_if_one_of_them_is(
    errors: list[BackendError], retryable: bool, wait: float | None
) -> None:
    members = [ScriptedGenerator(error, identity=f"p:{n}") for n, error in enumerate(errors)]
    with pytest.raises(BackendError, match=r"nobody answered: .*a; then .*b") as caught:
        await draw(FallbackGenerator(members))
    assert (caught.value.retryable, caught.value.retry_after_s) == (retryable, wait)


@pytest.mark.parametrize(("error", "told"), [
    (QuotaError("nothing left"), "QuotaError: nothing left; it is not asked again in this run"),
    (QuotaError("spent", retry_after_s=90), "QuotaError: spent; it is not asked again for 90 s"),
    (RateLimitedError("too many", retry_after_s=90), "RateLimitedError: too many; it is not asked again for 90 s"),
])  # fmt: skip
async def test_a_member_without_quota_is_not_asked_again_in_the_run(
    error: BackendError, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("imagerag.agent.clock.seconds", lambda: now)
    one, other = two(error)
    fallback = FallbackGenerator([one, other])
    with in_call(CallContext(run_id="run-1")):
        assert (await draw(fallback)).fallback_errors == (f"{type(error).__name__}: {error}",)
        assert (await draw(fallback)).fallback_errors == (told,)
        assert (len(one.calls), len(other.calls)) == (1, 2)
        now += 91
        again = await draw(fallback)
        assert again.served_by == ("two:b" if error.retry_after_s is None else "one:a")
    with in_call(CallContext(run_id="run-2")):
        assert (await draw(fallback)).served_by == "one:a", "another run asks it"


async def test_other_errors_and_calls_outside_of_a_run_pause_nobody() -> None:
    for error in (BackendError("overloaded"), RateLimitedError("too many"), AuthError("no key")):
        one, other = two(error)
        fallback = FallbackGenerator([one, other])
        with in_call(CallContext(run_id="run")):
            assert [(await draw(fallback)).served_by for _ in range(2)] == ["two:b", "one:a"]
    one, other = two(QuotaError("nothing left"))
    fallback = FallbackGenerator([one, other])
    assert [(await draw(fallback)).served_by for _ in range(2)] == ["two:b", "one:a"]


async def test_where_nobody_else_is_left_a_paused_member_is_asked_again() -> None:
    one, other = two(QuotaError("nothing left"))
    other.enqueue(QuotaError("nothing there either"))
    fallback = FallbackGenerator([one, other])
    with in_call(CallContext(run_id="run")):
        with pytest.raises(BackendError, match="nothing left; then QuotaError: nothing there either") as nobody:
            await draw(fallback)
        assert (nobody.value.retryable, nobody.value.sent) == (False, True)
        assert (await draw(fallback)).served_by == "one:a", "the account may have been filled meanwhile"
        asked = len(other.calls)
        one.enqueue(BackendError("overloaded"))
        with pytest.raises(BackendError, match=r"overloaded; then .* not asked again in this run") as busy:
            await draw(fallback)
        assert busy.value.retryable
        assert len(other.calls) == asked


async def test_references_are_put_into_words_for_the_one_that_draws() -> None:
    one, other = two(QuotaError("empty"), template=ReferenceTemplate(whole="{prompt} | {items}", item="#{n} {caption}"))
    drawn = await draw(FallbackGenerator([one, other]), PART)
    assert one.calls[0].arguments["prompt"] == f"According to these images of {PART.caption}, generate a scene"
    assert drawn.prompt == other.calls[0].arguments["prompt"] == f"a scene | #1 {PART.caption}"


def test_it_promises_what_the_first_of_them_keeps() -> None:
    small, large = Size(width=64, height=64), Size(width=128, height=128)
    one = ScriptedGenerator(max_references=3, sizes=(small, large), identity="one:a")
    other = ScriptedGenerator(max_references=2, sizes=(large,), supports_seed=False, identity="two:b")
    fallback = FallbackGenerator([one, ScriptedGenerator(identity="any:c"), other], on_refusal=True)
    assert (fallback.max_references, fallback.sizes, fallback.capabilities.supports_seed) == (3, (small, large), False)
    assert fallback.identity == "one:a,any:c,two:b,on-refusal"
    judge = FallbackJudge(
        [ScriptedJudge(honours=frozenset({"seed", "prompt_variant"})), ScriptedJudge(honours=frozenset({"seed"}))]
    )
    assert judge.honours == {"seed"}
    with pytest.raises(SpecError):
        FallbackJudge([])


def test_its_price_is_that_of_all_of_them_together() -> None:
    assert not capabilities_of(FallbackGenerator(two())).tariff.known
    free = make_generator("sketch")
    tariff = FallbackGenerator([free, free]).capabilities.tariff
    assert tariff.known
    assert tariff.most(10, 0, None) == FREE.most(10, 0, None) == 0


async def test_judges_step_down_question_by_question() -> None:
    one, other = ScriptedJudge(identity="one:a"), ScriptedJudge(identity="two:b")
    fallback = FallbackJudge([one, other])
    one.enqueue(BackendTimeoutError("slow"))
    other.enqueue(["a star"])
    one.enqueue_captions(["a blue star"])
    one.enqueue_preferences(QuotaError("empty"))
    asked: dict[str, Any] = {"subjects": (), "requirements": (), "mode": "fused", "variation": SamplingParams()}
    critique = await fallback.critique("p", PART, **asked)
    assert (critique.served_by, critique.fallback_errors) == ("two:b", ("BackendTimeoutError: slow",))
    captions = await fallback.captions("p", critique.verdict.missing, max_tokens=77, variation=SamplingParams())
    assert (captions.served_by, captions.captions) == ("one:a", ("a blue star",))
    assert (await fallback.compare("p", PART, PART)).served_by == "two:b"
    missing = await fallback.missing_concepts("p", PART, verdict=critique.verdict, variation=SamplingParams())
    assert missing.served_by == "one:a"
    ranked = await fallback.choose("q", [PART, PART])
    assert (ranked.order, ranked.served_by) == ((0, 1), "one:a")


async def test_words_that_cannot_be_read_are_an_answer() -> None:
    one, other = ScriptedJudge(JudgeReplyError("gibberish", raw="blub")), ScriptedJudge()
    with pytest.raises(JudgeReplyError, match="gibberish") as caught:
        await FallbackJudge([one, other]).critique(
            "p", PART, subjects=(), requirements=(), mode="fused", variation=SamplingParams()
        )
    assert caught.value.raw == "blub"
    assert other.calls == []


def test_specs_with_commas_make_fallbacks() -> None:
    generator = make_generator("openai:gpt-image-2@http://localhost:1/v1, sketch")
    assert generator.identity == "openai:gpt-image-2@http://localhost:1/v1,sketch:painter-1"
    assert make_judge("clip:sketch,sketch").identity == "sketch,sketch"
    assert make_generator("sketch,sketch,on-refusal").identity.endswith(",on-refusal")
    for spec in ("sketch,on-refusal", "on-refusal"):
        with pytest.raises(SpecError, match="two backends"):
            make_generator(spec)


@pytest.fixture
def servers() -> Iterator[list[MockOpenAIServer]]:
    with ExitStack() as stack:
        servers = [stack.enter_context(MockOpenAIServer()) for _ in range(2)]
        yield servers
    assert [server.errors for server in servers] == [[], []]


async def follow(home: Path, setup: RunSpec) -> Any:
    dependencies = Dependencies(DataDir.find(home))
    library = ScriptedLibrary()
    library.plant("a blue star on black")
    dependencies.use("library", "scripted", library)
    record = None
    async for event in Runner(dependencies=dependencies).start("a star", setup):
        record = event.record or record
    return record


async def test_over_http_the_record_says_who_answered_and_why_not_the_other(
    tmp_path: Path, servers: list[MockOpenAIServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    one, other = servers
    one.enqueue("images.generate", Fault("quota"))
    other.enqueue("images.generate", MockResponse(images=(tiny_png("draft"),)))
    other.enqueue("images.edit", MockResponse(images=(tiny_png("better"),)))
    spec = f"openai:gpt-image-2@{one.base_url},openai:other@{other.base_url}"
    judge = f"openai:down@http://127.0.0.1:9/v1,openai:vlm@{other.base_url}"
    setup = RunSpec(
        generator=spec, judge=judge, library="scripted", config=RunConfig(judge_mode="stepwise", max_rounds=1)
    )
    # The first says whether it takes images, before the drawing is paid.
    for text in ("Yes.", "No.", "content: a star", "1. a blue star on black", "Yes."):
        other.enqueue("chat", MockResponse(text=text))
    record = await asyncio.wait_for(follow(tmp_path, setup), 60)
    assert record.outcome is Outcome.ALIGNED, record.reason
    assert {attempt.generator for attempt in record.attempts} == {f"openai:other@{other.base_url}"}
    assert record.attempts[1].prompt == other.of("images.edit")[0].prompt
    assert "a blue star on black" in record.attempts[1].prompt
    drawings = [call for call in record.call_log if call.role == "generate"]
    assert [call.backend for call in drawings] == [f"openai:other@{other.base_url}"] * 2
    assert drawings[0].note.startswith("QuotaError: openai:gpt-image-2@")
    assert "not asked again in this run" in drawings[1].note
    assert one.count("images.edit") == 0
    judged = [call for call in record.call_log if call.role != "generate"]
    assert {call.backend for call in judged} == {f"openai:vlm@{other.base_url}"}
    assert all("openai:down@http://127.0.0.1:9/v1" in call.note for call in judged)
    # What runs on this machine is free, and is said to be.
    assert record.cost_usd == 0
    assert record.has_unknown_cost == []


def test_a_fallback_says_how_many_votes_its_members_ask_for() -> None:
    address = "http://127.0.0.1:9/v1"
    voting = make_judge(f"openai:a?votes=3@{address}")
    assert capabilities_of(FallbackJudge([make_judge(f"openai:b@{address}"), voting])).votes == 3
    assert capabilities_of(FallbackJudge([ScriptedJudge(), FallbackJudge([voting])])).votes == 3
