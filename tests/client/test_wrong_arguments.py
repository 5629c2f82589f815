"""Wrong arguments of the client's methods: each is refused by name, before a method does anything.

The methods are called without their object: one that began its work would fail at that.
"""

import asyncio
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import numpy as np
import pytest

from imagerag import ImageRAG, UsageError
from imagerag.client.argument_checks import _Parameters
from imagerag.client.run_estimates import fork_options
from tests.client.test_synchronous_twins import CLASSES

METHODS = [
    method
    for one in CLASSES
    if not one.__name__.startswith("_")
    for name, method in vars(one).items()
    if inspect.isfunction(method) and not name.startswith("_")
]
NAMES = [f"{method.__module__.rpartition('.')[2]}.{method.__name__}" for method in METHODS]


class Nothing:
    """A value that no parameter takes."""


def refused(method: Callable[..., Any], *args: Any, **keywords: Any) -> str:
    """The message of the error with which a method refuses its arguments."""

    async def run() -> None:
        called = method(*args, **keywords)
        if inspect.isawaitable(called):
            await called

    with pytest.raises(UsageError) as error:
        asyncio.run(run())
    return str(error.value)


def scalars(hint: Any) -> set[Any]:
    """The types of a parameter's values, those in lists among them."""
    if get_origin(hint) is Literal:
        return {str}
    parts = [hint.__origin__] if get_origin(hint) is Annotated else get_args(hint)
    return {hint}.union(*map(scalars, parts))


def parameters(method: Callable[..., Any]) -> list[inspect.Parameter]:
    return [one for one in inspect.signature(method).parameters.values() if one.name != "self"]


def call_with(method: Callable[..., Any], name: str, value: object) -> str:
    """The refusal of a call with a value of one parameter, and nothing that fits for the others it needs."""
    required = [one for one in parameters(method) if one.default is one.empty and one.kind is not one.VAR_KEYWORD]
    args = [
        value if one.name == name else Nothing()
        for one in required
        if one.kind is not one.KEYWORD_ONLY and (one.kind is not one.VAR_POSITIONAL or one.name == name)
    ]
    keywords = {one.name: Nothing() for one in required if one.kind is one.KEYWORD_ONLY}
    if name not in {one.name for one in required if one.kind is not one.KEYWORD_ONLY}:
        keywords[name] = value
    return refused(method, None, *args, **keywords)


@pytest.mark.parametrize("method", METHODS, ids=NAMES)
def test_each_parameter_refuses_a_value_of_another_type(method: Callable[..., Any]) -> None:
    for name in _Parameters(method)._types:
        if name not in ("config", "workflow"):
            assert f"{name}: " in (message := call_with(method, name, Nothing())) or f"{name}[0]: " in message
            assert "a value of type Nothing" in message


@pytest.mark.parametrize("method", METHODS, ids=NAMES)
def test_a_parameter_that_there_is_not_is_refused(method: Callable[..., Any]) -> None:
    if any(one.kind is one.VAR_KEYWORD and one.annotation is Any for one in parameters(method)):
        return  # passed on to another method, which refuses it
    required = [one for one in parameters(method) if one.default is one.empty]
    args = [Nothing() for one in required if one.kind is one.POSITIONAL_OR_KEYWORD]
    keywords = {one.name: Nothing() for one in required if one.kind is one.KEYWORD_ONLY}
    assert "no argument 'nope'; " in refused(method, None, *args, **keywords, nope=1)


@pytest.mark.parametrize("method", METHODS, ids=NAMES)
def test_a_number_is_no_text_no_truth_value_and_not_without_end(method: Callable[..., Any]) -> None:
    for name, hint in _Parameters(method)._types.items():
        types = scalars(hint)
        if types & {int, float} and name != "set":
            wrong = [float("nan"), float("inf"), *([] if bool in types else [True]), *([] if str in types else ["3"])]
            for value in wrong:
                assert f"{name}: " in call_with(method, name, value)


RANGES: list[tuple[str, Callable[[ImageRAG], Any], str]] = [
    ("dedupe", lambda rag: rag.libraries.dedupe_sync(threshold=3), "threshold: at most 1, not 3"),
    ("index", lambda rag: rag.libraries.index_sync(5), "paths[0]: it has to be text or a path, not 5"),  # type: ignore[arg-type]
    ("index bytes", lambda rag: rag.libraries.index_sync(b"x"), "paths[0]: it has to be text or a path, not b'x'"),  # type: ignore[arg-type]
    ("update", lambda rag: rag.libraries.update_sync(nope=1), "update: no argument 'nope'; there are: library, "),  # type: ignore[call-arg]
    ("browse", lambda rag: rag.libraries.browse_sync(limit=0), "limit: at least 1, not 0"),
    ("offset", lambda rag: rag.libraries.browse_sync(offset=-1), "offset: at least 0, not -1"),
    ("search", lambda rag: rag.libraries.search_sync("a", k=0), "k: at least 1, not 0"),
    ("search huge", lambda rag: rag.libraries.search_sync("a", k=10**5000), "k: at most 1000, not a value of type int"),
    ("check", lambda rag: rag.libraries.check_sync(queries=-1), "queries: at least 16, not -1"),
    ("unmatched", lambda rag: rag.libraries.unmatched_sync(runs=0), "runs: at least 1, not 0"),
    ("stats", lambda rag: rag.libraries.stats_sync(worst=-1), "worst: at least 0, not -1"),
    ("max_calls", lambda rag: rag.libraries.index_sync("x", max_calls=0), "max_calls: at least 1, not 0"),
    ("tags", lambda rag: rag.libraries.search_sync("a", tags=[b"a"]), "tags[0]: it has to be text, not b'a'"),  # type: ignore[list-item]
    ("set", lambda rag: rag.libraries.update_sync("a", set={"n": []}), "set: it has to be text, a whole number, "),  # type: ignore[dict-item]
    ("runs", lambda rag: rag.runs.list_sync(0), "limit: at least 1, not 0"),
    ("status", lambda rag: rag.runs.list_sync(status="x"), "no status 'x'; there are: running, interrupted, ended"),  # type: ignore[arg-type]
    ("count", lambda rag: rag.runs.count_sync(min_cost=-1), "min_cost: at least 0, not -1"),
    ("prune", lambda rag: rag.runs.prune_sync(keep=-1), "keep: at least 0, not -1"),
    ("continue", lambda rag: rag.runs.continue_sync("a", more_rounds=21), "more_rounds: at most 20, not 21"),
    ("estimate", lambda rag: rag.runs.estimate_continue_sync("a", nope=1), "no argument 'nope'"),
    ("estimate replay", lambda rag: rag.runs.estimate_replay_sync("a", 1, nope=1), "no argument 'nope'"),
    ("replay", lambda rag: rag.runs.replay_sync("a", True), "step: it has to be a whole number, not True"),
    ("ask", lambda rag: rag.ask_sync("a?", k=101), "k: at most 100, not 101"),
    ("generate", lambda rag: rag.generate_sync("a", threshold=float("nan")), "threshold: it has to be a number that"),
    ("rounds", lambda rag: rag.generate_sync("a", max_rounds=21), "max_rounds: at most 20, not 21"),
    ("batch", lambda rag: rag.batch_sync(["a"], "out", concurrency=0), "concurrency: at least 1, not 0"),
    ("missing", lambda rag: rag.generate_sync(), "generate: missing a required argument: 'prompt'"),  # type: ignore[call-arg]
    ("options", lambda rag: rag.with_options(nope="a"), "with_options: no argument 'nope'"),  # type: ignore[call-arg]
    ("home", lambda rag: ImageRAG(home=5), "home: it has to be text or a path, not 5"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("call", "message"), [one[1:] for one in RANGES], ids=[one[0] for one in RANGES])
def test_the_message_says_what_a_parameter_takes(call: Callable[[ImageRAG], Any], message: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    with pytest.raises(UsageError) as error:
        call(ImageRAG(preset="sketch", home=home, library="mine"))
    assert message in str(error.value)
    assert not home.exists() or not list(home.iterdir())


def test_numbers_of_numpy_are_numbers(tmp_path: Path) -> None:
    rag = ImageRAG(preset="sketch", home=tmp_path)
    assert rag.runs.list_sync(np.int64(3), min_cost=np.float32(0.5)) == []  # type: ignore[arg-type]


def test_an_option_that_is_none_is_left_out() -> None:
    assert fork_options(1, seed=None, threshold=0.5).changes == {"threshold": 0.5}  # type: ignore[typeddict-item]
