"""The escalation, the recursion limit, and the words sent to a generator."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagerag.agent.control_tokens import neutralised
from imagerag.agent.extraction_schedule import TEMPERATURES, extraction_params, recursion_limit, retries_left
from imagerag.agent.ports import ReferenceTemplate
from imagerag.agent.prompts import reference_prompt
from imagerag.agent.types import ImageRef, RunConfig, UsedReference


def test_each_try_is_hotter_where_the_judge_takes_a_temperature() -> None:
    tries = [extraction_params(n, {"temperature", "seed"}, seed=7) for n in range(3)]
    assert [v.temperature for v in tries] == [0.0, pytest.approx(1 / 3), pytest.approx(5 / 6)]
    assert {v.varied_parameter for v in tries} == {"temperature"}


def test_a_judge_that_refuses_temperature_is_reseeded_and_reworded_and_the_variation_says_so() -> None:
    first, second, third = (extraction_params(n, {"seed", "prompt_variant"}, seed=7) for n in range(3))
    assert (first.varied_parameter, second.varied_parameter, third.varied_parameter) == (
        "none",
        "seed_and_wording",
        "seed_and_wording",
    )
    assert (second.seed, second.prompt_variant, third.seed, third.prompt_variant) == (8, 1, 9, 2)
    assert {v.temperature for v in (first, second, third)} == {None}


def test_a_judge_without_levers_is_not_asked_the_same_again() -> None:
    assert not retries_left(1, frozenset())
    assert retries_left(1, {"temperature"})
    assert not retries_left(len(TEMPERATURES), {"temperature"})


@given(st.integers(0, 19))
def test_each_round_more_allows_the_same_number_of_steps_more(rounds: int) -> None:
    one, two, three = (recursion_limit(RunConfig(max_rounds=n)) for n in (0, rounds, rounds + 1))
    assert three - two == recursion_limit(RunConfig(max_rounds=1)) - one > 0


def reference(caption: str, concept: str = "") -> UsedReference:
    image = ImageRef(sha256="0" * 64, media_type="image/png", width=8, height=8)
    return UsedReference(image=image, concept=concept, caption=caption)


def test_the_prompt_itself_is_sent_when_there_is_nothing_to_refer_to() -> None:
    assert reference_prompt(ReferenceTemplate(), "a cat", []) == "a cat"
    assert reference_prompt(ReferenceTemplate(), "a cat", [reference("")]) == "a cat"


def test_each_generator_has_its_references_put_in_its_own_way() -> None:
    omnigen = ReferenceTemplate(item="{caption}: <img><|image_{n}|></img>")
    sent = reference_prompt(omnigen, "a cat", [reference("", "Tom"), reference("a grey cat")])
    assert sent == (
        "According to these images of Tom: <img><|image_1|></img>, a grey cat: <img><|image_2|></img>, generate a cat"
    )


@given(st.text(), st.text(min_size=1))
def test_braces_and_anything_else_in_captions_and_prompts_is_data(prompt: str, caption: str) -> None:
    sent = reference_prompt(ReferenceTemplate(), prompt, [reference(caption)])
    # Control tokens alone are more than data to a model, and so are their halves.
    assert sent == f"According to these images of {neutralised(caption)}, generate {neutralised(prompt)}"


def test_own_nodes_may_work_beside_every_step() -> None:
    assert recursion_limit(RunConfig(max_rounds=2), own=2) == 3 * recursion_limit(RunConfig(max_rounds=2))


def test_the_ceiling_covers_every_step_of_the_longest_run() -> None:
    searching = ["extract_concepts"] * len(TEMPERATURES) + ["write_captions", "retrieve", "shortlist"]
    searching += ["retrieve", "shortlist", "select"]
    rounds = 3
    longest = ["retrieve", "shortlist", "retrieve", "shortlist", "select", "generate", "critique"]
    longest += [*searching, "regenerate", "critique"] * rounds + [*searching, "finish"]
    assert recursion_limit(RunConfig(max_rounds=rounds)) >= len(longest)


def test_a_judge_without_levers_gets_the_same_variation_with_its_number_only() -> None:
    second = extraction_params(1, frozenset(), seed=7)
    assert (second.attempt, second.varied_parameter, second.seed, second.prompt_variant) == (1, "none", None, 0)
