"""The call and the command that make a run again are those of a run with the same setup."""

import shlex
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from imagerag import ImageRAG
from imagerag.agent.run_call import run_call
from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import Attempt, ImageRef, RunConfig, RunSpec, UsedReference
from imagerag.cli.generate import generate_command
from imagerag.files.run_request import RunRequest
from imagerag.formatting.interface_terms import SPEC, as_commands
from imagerag.graphs.configuration.settings import resolve

IMAGE = ImageRef(sha256="a" * 64, media_type="image/png", width=8, height=8)

CONFIGS = st.builds(
    RunConfig,
    max_rounds=st.integers(0, 20),
    max_references=st.none() | st.integers(1, 16),
    references_per_concept=st.integers(1, 3),
    threshold=st.sampled_from(["auto", "off", 0.25, -0.5]),
    candidates=st.integers(1, 20),
    judge_mode=st.sampled_from(["fused", "stepwise"]),
    start=st.sampled_from(["generate", "retrieve"]),
    hybrid=st.booleans(),
    likeness=st.sampled_from(["auto", "always", "never"]),
    reference_crop=st.sampled_from(["auto", "region", "whole"]),
    select=st.booleans(),
    seed=st.integers(0, 9),
    size=st.sampled_from([None, "512x768", "16:9", "16:9@2K", "1K"]),
    partial_images=st.integers(0, 3),
    filter=st.sampled_from([None, "taken>=2024-05 and not tag=draft", "place='Old Town'", {"a": "it's"}]),
    tags=st.sampled_from([(), ("toy",), ("a b", "c")]),
    licences=st.sampled_from([(), ("CC0-1.0", "CC-BY-4.0")]),
    cache=st.sampled_from(["record", "reuse"]),
    max_calls=st.none() | st.integers(1, 9),
    max_cost_usd=st.sampled_from([None, 0, 0.5]),
    assume_cost_usd_per_call=st.sampled_from([None, 0.1]),
    patience_s=st.sampled_from([120, 0, 7.5]),
)
SETUPS = st.builds(
    RunSpec,
    generator=st.sampled_from(["sketch", "openai:gpt-image-2", "openai:m@http://localhost:1/v1"]),
    judge=st.sampled_from(["sketch", "clip:ViT-B-32/openai"]),
    library=st.sampled_from(["mine", "mine@v1", "my pictures"]),
    reranker=st.sampled_from([None, "vlm"]),
    config=CONFIGS,
    deadline_s=st.sampled_from([None, 30.0]),
)


def record(setup: RunSpec | None, prompt: str = "a cat", **fields: Any) -> RunRecord:
    return RunRecord(run_id="r", status="ended", prompt=prompt, outcome="best_effort", setup=setup, **fields)


class Client:
    """Takes calls as `ImageRAG` does, and keeps their arguments."""

    def __init__(self, backends: dict[str, Any]) -> None:
        self.backends = backends

    def with_options(self, **backends: Any) -> "Client":
        return Client(backends)

    def generate(self, prompt: str, **options: Any) -> tuple[str, dict[str, Any]]:
        return prompt, {**self.backends, **options}


def of_python(call: str) -> tuple[str, dict[str, Any]]:
    return eval(call.strip("`"), {"rag": Client({}), "SPEC": "SPEC", "PROMPT": "PROMPT", "FILE": "FILE"})


def of_command(call: str) -> tuple[str, dict[str, Any]]:
    words = shlex.split(as_commands(call))
    assert words[:2] == ["imagerag", "generate"]
    values = generate_command.make_context("generate", words[2:]).params
    options = {name: values[name] for name in (*RunConfig.model_fields, "library", "deadline_s") if name in values}
    return values["prompt"], options | {name: values[name] for name in ("generator", "judge", "reranker")}


def setup_of(prompt: str, options: dict[str, Any]) -> RunSpec:
    backends = {name: options.pop(name, None) for name in ("generator", "judge", "reranker", "library")}
    return RunRequest.of(resolve(home="/nowhere", **backends), prompt, options).setup


@pytest.mark.parametrize("read", [of_python, of_command])
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(setup=SETUPS)
@example(setup=RunSpec(generator="sketch", judge="sketch", library="mine"))
def test_a_repeated_run_has_the_same_setup(read: Any, setup: RunSpec) -> None:
    prompt, options = read(run_call(record(setup)))
    assert prompt == "a cat"
    assert setup_of(prompt, options) == setup


def test_every_field_is_an_option_or_known_not_to_be_one() -> None:
    strategy_free = {"near_duplicate", "retrieve_by", "deadline_at", "mask_feather"}
    described = repr(CONFIGS)
    assert [name for name in RunConfig.model_fields if name not in strategy_free and f"{name}=" not in described] == []


def test_changes_replace_what_the_run_used() -> None:
    made = RunSpec(generator="sketch", judge="sketch", library="mine", config=RunConfig(tags=("toy",), seed=3))
    shown = as_commands(run_call(record(made), generator=SPEC, tags=None, filter=""))
    assert shown == ("imagerag generate 'a cat' --generator SPEC --judge sketch --library mine --seed 3 --filter ''")
    assert hasattr(ImageRAG, "with_options")


@pytest.mark.parametrize("prompt", ["x" * 61, "a `b`", "-", "--help"])
def test_a_prompt_that_cannot_be_repeated_is_a_placeholder(prompt: str) -> None:
    assert as_commands(run_call(record(None, prompt))) == "imagerag generate PROMPT"


def test_files_of_the_users_own_are_placeholders() -> None:
    sent = (
        UsedReference(image=IMAGE, role="subject", selected_by="given", concept="the dog"),
        UsedReference(image=IMAGE, role="edit", selected_by="given", mask=IMAGE),
        UsedReference(image=IMAGE, concept="a heart"),
    )
    first = Attempt(index=0, round=0, prompt="p", image=IMAGE, references=sent)
    shown = as_commands(run_call(record(None, attempts=[first])))
    assert shown == "imagerag generate 'a cat' --subject 'the dog'=FILE --edit FILE --mask FILE"
    handed_in = first.model_copy(update={"references": (), "origin": "handed_in"})
    assert as_commands(run_call(record(None, attempts=[handed_in]))).endswith("--initial-image FILE")
    of_library = sent[1].model_copy(update={"selected_by": "by_hand", "mask": None})
    taken = first.model_copy(update={"references": (of_library,)})
    assert as_commands(run_call(record(None, attempts=[taken]))).endswith(f"--edit-library {'a' * 12}")
