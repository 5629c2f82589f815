"""Which attempt is best, and what an error means for the run."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagerag.agent import errors, outcomes
from imagerag.agent.types import (
    Attempt,
    Concept,
    ImageRef,
    ModelCall,
    OmittedByFilter,
    Outcome,
    Query,
    Requirement,
    RequirementCheck,
    RunConfig,
    RunResult,
    Search,
    UsedReference,
    Verdict,
)


def attempt(index: int, score: float | None, *, aligned: bool | None = False, picture: str | None = None) -> Attempt:
    sha = (picture or f"{index:x}") * 64
    status = "judged" if aligned is not None else "abstained"
    return Attempt(
        index=index,
        round=index,
        prompt="p",
        image=ImageRef(sha256=sha[:64], media_type="image/png", width=8, height=8),
        verdict=Verdict(status=status, aligned=aligned, score=score),
    )


def indices(*attempts: Attempt) -> list[int]:
    return [best.index for best in outcomes.best_attempts(attempts)]


def test_the_highest_score_wins_not_the_last() -> None:
    assert indices(attempt(0, 0.5), attempt(1, 0.8), attempt(2, 0.3)) == [1]


def test_of_equal_scores_the_oldest_stays() -> None:
    assert indices(attempt(0, 0.5), attempt(1, 0.5), attempt(2, 0.5)) == [0]
    assert indices(attempt(0, None), attempt(1, 0.0)) == [0]


def test_bare_noes_are_left_to_be_compared_oldest_first() -> None:
    assert indices(attempt(0, None), attempt(1, None)) == [0, 1]


def test_an_attempt_with_the_same_picture_is_no_rival() -> None:
    assert indices(attempt(0, None, picture="a"), attempt(1, None, picture="a")) == [0]


def test_an_unjudged_attempt_never_beats_a_judged_one_and_an_aligned_one_beats_all() -> None:
    assert indices(attempt(0, 0.1), attempt(1, None, aligned=None)) == [0]
    assert indices(attempt(0, 0.9), attempt(1, None, aligned=True)) == [1]
    assert indices(attempt(0, None, aligned=None), attempt(1, None, aligned=None)) == [0]
    assert indices() == []


@given(st.lists(st.tuples(st.none() | st.floats(0, 1), st.sampled_from([True, False, None])), min_size=1, max_size=8))
def test_what_is_returned_is_never_worse_than_the_first(verdicts: list[tuple[float | None, bool | None]]) -> None:
    attempts = [attempt(n, score, aligned=aligned) for n, (score, aligned) in enumerate(verdicts)]
    best = outcomes.best_attempts(attempts)[0]
    first = attempts[0].verdict
    assert first is not None
    assert best.verdict is not None
    if first.aligned:
        assert best.verdict.aligned
    elif first.aligned is False and not best.verdict.aligned:
        assert (best.verdict.score or 0) >= (first.score or 0)


@pytest.mark.parametrize(
    ("error", "node", "outcome"),
    [
        (errors.RefusalError("policy"), "generate", Outcome.REFUSED),
        (errors.RefusalError("policy"), "critique", Outcome.REFUSED),
        (errors.BudgetExceededError("spent"), "regenerate", Outcome.BUDGET_EXHAUSTED),
        (errors.BackendError("down"), "critique", Outcome.JUDGE_UNAVAILABLE),
        (errors.AuthError("no key"), "write_captions", Outcome.JUDGE_UNAVAILABLE),
        (errors.JudgeReplyError("?", raw="?"), "write_captions", Outcome.JUDGE_UNAVAILABLE),
        (errors.BackendError("down"), "generate", Outcome.FAILED),
        (errors.BlobError("damaged"), "critique", Outcome.FAILED),
        (ZeroDivisionError(), "retrieve", Outcome.FAILED),
    ],
)
def test_every_error_has_an_outcome(error: Exception, node: str, outcome: Outcome) -> None:
    result = outcomes.result_from_error(error, node)
    assert result.outcome is outcome
    assert result.reason


def subclasses(kind: type[Exception]) -> set[type[Exception]]:
    return {kind}.union(*(subclasses(child) for child in kind.__subclasses__()))


def test_the_tree_in_the_docstring_names_every_error() -> None:
    named = set(errors.__doc__.replace("│", " ").replace("├──", " ").replace("└──", " ").split())
    assert {kind.__name__ for kind in subclasses(errors.ImageRAGError)} <= named


OURS = sorted(
    (kind for kind in subclasses(errors.ImageRAGError) if kind.__module__ == errors.__name__), key=lambda k: k.__name__
)
"""Those of the agent: a layer above it may have been loaded by another test, and its errors are made of more."""


@pytest.mark.parametrize("kind", OURS)
def test_an_error_that_only_its_repr_is_left_of_means_the_same(kind: type[errors.ImageRAGError]) -> None:
    if kind is errors.MissingExtraError:
        assert outcomes.restore_exception("MissingExtraError('it needs a part')").args == (
            "MissingExtraError('it needs a part')",
        )
        return
    error = kind('it\'s "so"\n')
    assert outcomes.restore_exception(error) is error
    again = outcomes.restore_exception(repr(error))
    assert type(again) is kind
    assert outcomes.result_from_error(again, "critique") == outcomes.result_from_error(error, "critique")


@pytest.mark.parametrize(
    "text", ["KeyError('x')", "ImageRAGError(", "__import__('os')", "", "BackendError(1)", "Any('x')"]
)
def test_anything_else_is_kept_as_words(text: str) -> None:
    assert outcomes.restore_exception(text).args == (text,)


def ended(*attempts: Attempt, **values: object) -> Outcome:
    state: Any = {"prompt": "p", "attempts": list(attempts), "searches": [], **values}
    return outcomes.result_of(state, RunConfig(max_rounds=2), room=1).outcome


def test_how_a_run_that_came_to_its_end_is_called() -> None:
    assert ended() is Outcome.FAILED
    assert ended(attempt(0, None, aligned=None)) is Outcome.JUDGE_UNAVAILABLE
    assert ended(attempt(0, 0.2), attempt(1, 1.0, aligned=True)) is Outcome.ALIGNED
    assert ended(attempt(0, 0.2), attempt(1, 0.3)) is Outcome.NO_USABLE_REFERENCE
    assert ended(attempt(0, 0.2), attempt(1, 0.3), attempt(2, 0.4)) is Outcome.BEST_EFFORT


def test_what_is_missing_is_what_was_not_met_else_what_the_judge_named_else_what_was_looked_for() -> None:
    met, unmet = (RequirementCheck(requirement=Requirement(text=text), met=text == "red") for text in ("red", "round"))
    named = (Concept(text="a heart"),)
    state: Any = {"concepts": [Concept(text="a moon")]}
    all_three = Verdict(status="judged", aligned=False, checks=(met, unmet), missing=named)
    assert outcomes.describe_missing(all_three, state) == ["round"]
    assert outcomes.describe_missing(Verdict(status="judged", aligned=False, missing=named), state) == ["a heart"]
    assert outcomes.describe_missing(Verdict(status="judged", aligned=False), state) == ["a moon"]
    assert outcomes.describe_missing(Verdict(status="judged", aligned=False)) == []


def test_only_where_no_score_tells_them_apart_is_more_than_one_best() -> None:
    assert indices(attempt(0, None), attempt(1, 0.0), attempt(2, None)) == [0]
    assert indices(attempt(0, None, aligned=True), attempt(1, None, aligned=True)) == [0]


@pytest.mark.parametrize(
    ("roles", "outcome"),
    [
        (["rerank"], Outcome.JUDGE_UNAVAILABLE),
        (["embed", "rerank"], Outcome.JUDGE_UNAVAILABLE),
        (["rerank", "embed"], Outcome.FAILED),
        ([], Outcome.FAILED),
    ],
)
def test_a_search_is_the_judges_failure_only_when_reranking_was_the_last_it_asked(
    roles: list[str], outcome: Outcome
) -> None:
    error = errors.BackendError("down")
    error.__dict__["calls"] = [ModelCall(role=role, backend="b", elapsed_s=0) for role in roles]
    assert outcomes.result_from_error(error, "retrieve").outcome is outcome


def test_an_aligned_attempt_beats_one_that_met_all_and_was_not() -> None:
    assert indices(attempt(0, 1.0), attempt(1, None, aligned=True)) == [1]
    assert indices(attempt(0, 1.0), attempt(1, 1.0, aligned=True)) == [1]


def test_of_attempts_with_the_same_picture_the_oldest_is_compared() -> None:
    assert indices(attempt(0, None, picture="a"), attempt(1, None, picture="b"), attempt(2, None, picture="a")) == [
        0,
        1,
    ]


def left_out(*found: str, passing: str = "") -> Search:
    shown, near = (tuple(sha * 64 for sha in letters) for letters in (found, passing))
    one = OmittedByFilter(by="excluded", found=shown, passing=near, closest=0.5, threshold=0.2)
    return Search(round=1, query=Query(text="q", concept=Concept(text="c")), threshold=0.2, left_out=(one,))


def ended_without(*, takes: int | None = None, room: int = 1, library: str | None = "", **values: object) -> RunResult:
    state: Any = {"prompt": "p", "attempts": [attempt(0, 0.2)], "searches": [], **values}
    return outcomes.result_of(state, RunConfig(max_rounds=2), room=room, takes=takes, library=library)


def test_a_picture_that_goes_with_every_drawing_is_not_said_to_be_left_out() -> None:
    pin = UsedReference(image=ImageRef(sha256="a" * 64, media_type="image/png", width=8, height=8), concept="c")
    searches = [left_out("a", passing="a")]
    assert ended_without(searches=searches).causes == ("excluded",)
    assert ended_without(searches=searches, kept_images=[pin]).causes == ("empty_library",)
    both = [left_out("a", "b", passing="b")]
    assert ended_without(searches=both, kept_images=[pin]).causes == ("excluded",)


def test_why_there_is_none_depends_on_what_the_generator_takes() -> None:
    assert ended_without(takes=0, room=0).causes == ("takes_none",)
    assert ended_without(takes=1, room=0).causes == ("no_room",)
    assert ended_without(library=None).causes == ("no_library",)


def test_the_last_round_is_the_last() -> None:
    state: Any = {"prompt": "p", "attempts": [attempt(0, 0.2), attempt(1, 0.2)], "searches": []}
    assert outcomes.result_of(state, RunConfig(max_rounds=1), room=1).outcome is Outcome.BEST_EFFORT
    assert "still missing after 1 round:" in outcomes.result_of(state, RunConfig(max_rounds=1), room=1).reason


@pytest.mark.parametrize(
    ("roles", "outcome"),
    [(["judge.check_images"], Outcome.JUDGE_UNAVAILABLE), (["judge.check_images", "generate"], Outcome.FAILED)],
)
def test_a_judge_that_fails_before_the_drawing_is_no_failure_of_the_drawing(roles: list[str], outcome: Outcome) -> None:
    error = errors.BackendError("down")
    error.__dict__["calls"] = [ModelCall(role=role, backend="b", elapsed_s=0) for role in roles]
    assert outcomes.result_from_error(error, "generate").outcome is outcome


@pytest.mark.parametrize("text", ["Path('x')", "isclass('x')", "Exception('x')"])
def test_only_errors_of_ours_are_revived(text: str) -> None:
    assert outcomes.restore_exception(text).args == (text,)


def judged_on(index: int, points: dict[str, bool], *, pictures: str = "") -> Attempt:
    """An attempt whose verdict is of the prompt's points, and of likeness to each of the pictures it was drawn with."""
    sent = tuple(UsedReference(image=attempt(0, None, picture=one.lower()).image, likeness=True) for one in pictures)
    checks = [RequirementCheck(requirement=Requirement(text=text), met=met) for text, met in points.items()]
    for number, one in enumerate(pictures, start=1):
        same = Requirement(text=f"a thing: the very one of picture {number}", kind="likeness", image=number)
        checks.append(RequirementCheck(requirement=same, met=one.isupper()))
    score = sum(check.met for check in checks) / len(checks)
    verdict = Verdict(aligned=score == 1, score=score, checks=tuple(checks))
    return attempt(index, score).model_copy(update={"verdict": verdict, "references": sent})


def test_likeness_that_only_a_redrawing_was_judged_on_does_not_make_up_for_what_the_prompt_lost() -> None:
    """Upper case is a picture whose likeness is met. By the mere share of points each redrawing here would win."""
    first = judged_on(0, {"heart": True, "moon": False})
    assert indices(first, judged_on(1, {"heart": False, "moon": False}, pictures="ABC")) == [0]
    assert indices(first, judged_on(1, {"heart": True, "moon": False}, pictures="A")) == [0]
    assert indices(first, judged_on(1, {"heart": True, "moon": False}, pictures="aB")) == [0]


def test_a_redrawing_that_has_all_of_the_prompt_wins_though_it_is_not_alike() -> None:
    first = judged_on(0, {"heart": True, "moon": False})
    assert indices(first, judged_on(1, {"heart": True, "moon": True}, pictures="abc")) == [1]


def test_likeness_tells_redrawings_apart_that_have_as_much_of_the_prompt() -> None:
    first = judged_on(0, {"heart": False, "moon": False})
    half = judged_on(1, {"heart": True, "moon": False}, pictures="ab")
    assert indices(first, half, judged_on(2, {"heart": True, "moon": False}, pictures="Ab")) == [2]
    assert indices(first, half, judged_on(2, {"heart": True, "moon": False}, pictures="cd")) == [1]


@given(
    st.lists(st.tuples(st.booleans(), st.booleans(), st.text(alphabet="aAbB", max_size=3)), min_size=1, max_size=5).map(
        lambda made: [(h, m, p if n else "") for n, (h, m, p) in enumerate(made)]
    )
)
def test_no_redrawing_that_meets_less_of_the_prompt_than_the_first_is_returned(
    made: list[tuple[bool, bool, str]],
) -> None:
    attempts = [judged_on(n, {"heart": h, "moon": m}, pictures=p) for n, (h, m, p) in enumerate(made)]
    best = outcomes.best_attempts(attempts)[0]
    assert sum(made[best.index][:2]) >= sum(made[0][:2])
