"""What is put in is checked against its port when it is put in, and not in the middle of a paid run."""

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
from langgraph.errors import GraphBubbleUp, GraphInterrupt, ParentCommand
from langgraph.types import Command, interrupt

from imagerag import ImageRAG
from imagerag.agent.errors import BackendError, SpecError, UsageError
from imagerag.agent.port_validation import PORTS, check_role
from imagerag.agent.ports import FREE, Capabilities, Critique, EmbedderIdentity, GeneratedImage
from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import Outcome, Verdict
from imagerag.evals.dependencies import EvalDependencies
from imagerag.evals.metrics.registry import MetricMaker, kinds, use_metric
from imagerag.graphs.extensions import Extension
from imagerag.store.data_dir import DataDir
from imagerag.tools import registry
from imagerag.tools.registry import (
    make_answerer,
    make_describer,
    make_embedder,
    make_generator,
    make_judge,
    make_reranker,
)
from imagerag.tools.testing.fakes import HashEmbedder, ScriptedGenerator, ScriptedJudge, ScriptedLibrary, sample_image

WHOLE: dict[str, Callable[[], Any]] = {
    "generator": ScriptedGenerator,
    "judge": ScriptedJudge,
    "answerer": lambda: make_answerer("metadata"),
    "describer": lambda: make_describer("sketch"),
    "embedder": HashEmbedder,
    "reranker": lambda: make_reranker("bm25", judge=ScriptedJudge()),
    "library": ScriptedLibrary,
}


class Without:
    """A whole part with one thing less."""

    def __init__(self, part: Any, *lost: str) -> None:
        self._part, self._lost = part, lost

    def __getattr__(self, name: str) -> Any:
        if name in self._lost:
            raise AttributeError(name)
        return getattr(self._part, name)


def members() -> list[tuple[str, str]]:
    return [(role, name) for role, port in PORTS.items() for name in vars(port) if not name.startswith("_")]


@pytest.mark.parametrize("role", PORTS)
def test_a_whole_part_is_taken(role: str) -> None:
    check_role(role, "mine", WHOLE[role]())
    check_role(role, "mine", Without(WHOLE[role]()))


@pytest.mark.parametrize(("role", "name"), members())
def test_whatever_is_missing_is_named_when_it_is_put_in(role: Any, name: str, tmp_path: Path) -> None:
    rag = ImageRAG(preset="sketch", home=tmp_path)
    with pytest.raises(UsageError, match=rf"{role} 'mine' \(Without\) cannot be used: .*\b{name}\b"):
        rag.dependencies.use(role, "mine", Without(WHOLE[role](), name))


def test_built_in_backends_have_what_their_ports_ask_for() -> None:
    nowhere = "openai:m@http://localhost:1/v1"
    check_role("generator", "a", make_generator(f"{nowhere},sketch"))
    check_role("generator", "b", make_generator("openai-chat:m@http://localhost:1/v1"))
    check_role("judge", "a", make_judge(f"{nowhere},sketch"))
    check_role("embedder", "a", make_embedder("sketch"))
    check_role("answerer", "a", make_answerer(nowhere))
    check_role("reranker", "a", make_reranker("vlm", judge=make_judge("sketch")))


class Wrong(ScriptedJudge):
    async def critique(self, prompt: str, image: Any) -> Any: ...  # type: ignore[override]

    def choose(self, query: str, images: Any) -> Any: ...

    async def captions(self, prompt: str, concepts: Any, style: str, **asked: Any) -> Any: ...

    compare = "neither"  # type: ignore[assignment]


def test_signatures_are_looked_at_too() -> None:
    with pytest.raises(SpecError) as caught:
        check_role("judge", "mine", Wrong())
    said = str(caught.value)
    assert "critique(prompt, image, subjects=…" in said
    assert "unexpected keyword argument 'subjects'" in said
    assert "'async def choose'" in said
    assert "missing a required argument: 'style'" in said
    assert "compare is a str and has to be a method" in said
    assert "missing_concepts" not in said


def test_optional_methods_are_looked_at_where_they_are_there() -> None:
    class Batch(ScriptedLibrary):
        image_threshold = "high"

        async def search_batch(self, texts: Any, k: int) -> Any: ...

        def thumbnail(self, sha256: str) -> Any: ...

    with pytest.raises(SpecError) as caught:
        check_role("library", "mine", Batch())
    said = str(caught.value)
    assert "search_batch(texts, k=…, filter=…), but got an unexpected keyword argument 'filter'" in said
    assert "'async def thumbnail'" in said
    assert "image_threshold is 'high' and has to be float | None" in said
    assert "read_images" not in said

    class Asked(HashEmbedder):
        async def queries(self, text: str) -> Any: ...

    with pytest.raises(SpecError, match=r"queries\(\) must not be async"):
        check_role("embedder", "mine", Asked())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("identity", 3),
        ("max_references", "4"),
        ("sizes", "1024x1024"),
        ("template", "use these"),
        ("capabilities", 0),
    ],
)
def test_values_of_another_type_are_named(name: str, value: object) -> None:
    part = ScriptedGenerator()
    part.__dict__[name] = value
    with pytest.raises(SpecError, match=f"{name} is "):
        check_role("generator", "mine", part)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"tariff": 0.0}, "capabilities: tariff is 0.0 and has to be"),
        ({"takes_mask": "yes"}, "capabilities: takes_mask is 'yes' and has to be bool"),
        ({"max_images": "4"}, "capabilities: max_images is '4' and has to be"),
    ],
)
def test_capabilities_of_another_type_are_named(said: dict[str, Any], told: str) -> None:
    part = ScriptedGenerator()
    part.capabilities = Capabilities(**said)
    with pytest.raises(SpecError, match=told):
        check_role("generator", "mine", part)


def test_what_stands_beside_the_capabilities_is_not_passed_over_in_silence() -> None:
    part = Without(ScriptedJudge(), "capabilities")
    check_role("judge", "mine", part)
    part.__dict__["tariff"] = part.__dict__["max_images"] = 3
    with pytest.raises(SpecError, match="max_images, tariff are read from its capabilities: write 'capabilities = "):
        check_role("judge", "mine", part)


def test_a_class_is_no_object_and_a_role_has_a_name() -> None:
    with pytest.raises(SpecError, match=r"is the class ScriptedJudge; give an object of it: ScriptedJudge\(…\)"):
        check_role("judge", "mine", ScriptedJudge)
    with pytest.raises(SpecError, match="no role 'painter'; there are: generator, judge"):
        check_role("painter", "mine", ScriptedJudge())


def test_wrapped_methods_and_awaitables_are_taken() -> None:
    def traced(method: Any) -> Any:
        @wraps(method)
        def call(*given: Any, **named: Any) -> Any:
            return method(*given, **named)

        return call

    class Traced(HashEmbedder):
        embed_texts = traced(HashEmbedder.embed_texts)

    check_role("embedder", "mine", Traced())


def test_an_embedder_is_found_by_what_its_libraries_note(tmp_path: Path) -> None:
    rag, own = ImageRAG(preset="sketch", home=tmp_path), HashEmbedder()
    rag.dependencies.use("embedder", "mine", own)
    assert rag.dependencies.embedder("mine") is rag.dependencies.embedder("hash") is own


@pytest.mark.parametrize(
    "told", ["hash:1", EmbedderIdentity(spec="", model="", weights="", preprocess="", dimension=1)]
)
def test_an_embedder_that_cannot_be_found_again_is_refused(told: Any, tmp_path: Path) -> None:
    class Computed(HashEmbedder):
        def __init__(self) -> None:
            self.context_length = 7

        @property
        def identity(self) -> Any:  # type: ignore[override]
            return told

    with pytest.raises(SpecError, match="EmbedderIdentity with a spec"):
        ImageRAG(preset="sketch", home=tmp_path).dependencies.use("embedder", "mine", Computed())


@pytest.mark.parametrize("name", ["generator", "judge", "embedder", "library", "answerer", "reranker"])
def test_an_object_where_a_name_is_wanted_says_what_to_do(name: str) -> None:
    with pytest.raises(UsageError, match=rf"{name} has to be a text.*rag.dependencies.use\('{name}'"):
        ImageRAG(**{"preset": "sketch", name: WHOLE[name]()})


def test_extensions_are_looked_at() -> None:
    with pytest.raises(UsageError, match=r"subclass of imagerag.agent.nodes.Nodes"):
        Extension(nodes=object)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="a function of the nodes"):
        Extension(workflow="finish")  # type: ignore[arg-type]


class Point:
    value = "their_package:make"

    def __init__(self, name: str, made: Any) -> None:
        self.name, self._made = name, made

    def load(self) -> Any:
        if isinstance(self._made, Exception):
            raise self._made
        return self._made


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Any], None]:
    """Puts an entry point among those of installed packages."""

    def put(group: str, made: Any) -> None:
        def points(*, group: str, name: str | None = None) -> list[Point]:
            return [Point("theirs", made)] if group == asked and name in (None, "theirs") else []

        asked = group
        monkeypatch.setattr("imagerag.evals.metrics.registry.entry_points", points)
        monkeypatch.setattr(registry, "entry_points", points)

    return put


def test_what_a_packages_factory_makes_is_checked(install: Any) -> None:
    install("imagerag.judges", lambda spec, *, embedder: Without(ScriptedJudge(), "captions"))
    with pytest.raises(SpecError, match=r"judge 'theirs:big' .*no method captions\(\)"):
        make_judge("theirs:big")
    install("imagerag.judges", lambda spec: ScriptedJudge())
    with pytest.raises(SpecError, match=r"their_package:make: its factory is called with \(spec, embedder=…\), but"):
        make_judge("theirs")
    install("imagerag.generators", ImportError("no module named acme"))
    with pytest.raises(SpecError, match=r"cannot be loaded .*no module named acme.*reinstall"):
        make_generator("theirs")
    install("imagerag.generators", FREE)
    with pytest.raises(SpecError, match="names PriceEstimator, which cannot be called"):
        make_generator("theirs")


class Light:
    """How light it is."""

    needs_image = True

    def __init__(self, spec: str) -> None:
        self.spec = spec

    async def measure(self, sample: Any) -> dict[str, float]:
        return {self.spec: 1.0}


def test_metrics_come_from_packages_from_python_and_as_objects(
    install: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker = MetricMaker(EvalDependencies(DataDir(tmp_path)))
    monkeypatch.setattr("imagerag.evals.metrics.registry._OWN", {})
    use_metric("light", Light)
    install("imagerag.metrics", Light)
    own = Light("handed")
    assert [metric.spec for metric in maker.all(["light:x", "theirs:y", own, "work"])] == [
        "light:x",
        "theirs:y",
        "handed",
        "work",
    ]
    assert kinds()["light"] == "How light it is."
    assert kinds()["theirs"] == "from their_package:make"
    with pytest.raises(UsageError, match="light"):
        maker.one("nothing")


def test_a_metric_that_is_none_is_refused(install: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    maker = MetricMaker(EvalDependencies(DataDir(tmp_path)))
    monkeypatch.setattr("imagerag.evals.metrics.registry._OWN", {})
    with pytest.raises(SpecError, match="there is a metric 'work' already"):
        use_metric("work", Light)
    with pytest.raises(SpecError, match="cannot be a metric's name"):
        use_metric("Light:x", Light)
    with pytest.raises(SpecError, match=r"its factory is called with \(spec\), but"):
        use_metric("light", lambda: Light("x"))  # type: ignore[misc,arg-type]
    use_metric("empty", lambda spec: Without(Light(spec), "measure", "needs_image"))  # type: ignore[arg-type,return-value]
    with pytest.raises(SpecError, match=r"metric 'empty:x' .*no method measure\(\); it has no attribute needs_image"):
        maker.one("empty:x")
    with pytest.raises(SpecError, match="metric is the class Light"):
        maker.all([Light])  # type: ignore[list-item]
    install("imagerag.metrics", RuntimeError("broken"))
    with pytest.raises(SpecError, match=r"cannot be loaded .*broken"):
        maker.one("theirs")


class WeirdError(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


class Own(ScriptedGenerator):
    """A generator that returns or raises what it is made with."""

    def __init__(self, result: Any) -> None:
        super().__init__()
        self._result = result

    async def generate(self, *_: Any, **__: Any) -> Any:
        if isinstance(self._result, Exception):
            raise self._result
        return self._result


async def drawn_by(result: Any, home: Path, **options: Any) -> RunRecord:
    rag = ImageRAG(generator="mine", judge="mine", library="mine", home=home)
    parts = {"generator": Own(result), "judge": ScriptedJudge([]), "library": ScriptedLibrary()}
    for role, part in parts.items():
        rag.dependencies.use(role, "mine", part)
    return await rag.generate("a cat", max_rounds=0, **options)


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (KeyError("x"), "KeyError: 'x'"),
        (GraphInterrupt(()), "scripted:generator raised GraphInterrupt, which is LangGraph's"),
        (ParentCommand(Command(goto="finish")), "scripted:generator raised ParentCommand"),
        (GraphBubbleUp(), "scripted:generator raised GraphBubbleUp"),
        (WeirdError(), "WeirdError: WeirdError"),
        (ValueError("half a character: \ud800"), "half a character: \ufffd"),
        (ValueError("iVBORw0K" * 100_000), "ValueError: iVBORw0K"),
        (None, "scripted:generator returned NoneType, and not a GeneratedImage"),
        (b"an image", "returned bytes, and not a GeneratedImage"),
        (
            GeneratedImage(data=sample_image("a cat"), revised_prompt=5),  # type: ignore[arg-type]
            "returned a GeneratedImage that cannot be used: revised_prompt: it has to be text, not 5",
        ),
        (GeneratedImage(data=None), "data: it has to be bytes"),  # type: ignore[arg-type]
    ],
)
async def test_an_error_of_a_backend_ends_the_run_by_name_and_at_a_bounded_length(
    result: Any, reason: str, tmp_path: Path
) -> None:
    run = await drawn_by(result, tmp_path)
    assert run.outcome is Outcome.FAILED
    assert reason in run.reason
    assert len(run.model_dump_json()) < 40_000


@pytest.mark.parametrize("beside", [{"cost_usd": -5.0}, {"cost_usd": float("nan")}, {"usage": {"tokens": 10**30}}])
async def test_a_cost_or_a_count_that_is_none_is_unknown(beside: dict[str, Any], tmp_path: Path) -> None:
    image = GeneratedImage(data=sample_image("a cat"), **beside)
    run = await drawn_by(image, tmp_path, max_cost_usd=0.15, assume_cost_usd_per_call=0.1)
    assert run.outcome is Outcome.BUDGET_EXHAUSTED
    assert (run.call_log[0].cost_usd, run.call_log[0].usage) == (None, {})
    assert run.cost_usd == 0.1


@pytest.mark.parametrize("beside", [{"usage": None}, {"media_type": None}, {"fallback_errors": ["it was slow"]}])
async def test_no_paid_image_is_lost_for_what_decides_nothing(beside: dict[str, Any], tmp_path: Path) -> None:
    run = await drawn_by(GeneratedImage(data=sample_image("a cat"), **beside), tmp_path, max_calls=1)
    assert run.outcome is Outcome.BUDGET_EXHAUSTED
    assert run.image is not None


class Judging(ScriptedJudge):
    """A judge whose every critique is `answer`."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer = answer

    async def critique(self, *_: Any, **__: Any) -> Any:
        return self.answer


def judged_by(answer: Any, home: Path) -> tuple[ImageRAG, Judging]:
    rag, judge = ImageRAG(generator="mine", judge="mine", library="mine", home=home), Judging(answer)
    for role, part in {"generator": ScriptedGenerator(), "judge": judge, "library": ScriptedLibrary()}.items():
        rag.dependencies.use(role, "mine", part)  # type: ignore[arg-type]
    return rag, judge


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (None, "scripted:judge returned NoneType, and not a Critique"),
        (Verdict(aligned=True), "scripted:judge returned Verdict, and not a Critique"),
        (Critique(verdict="yes"), "a Critique that cannot be used: verdict: "),  # type: ignore[arg-type]
        (Critique(verdict=Verdict(aligned=True), raw=None), "raw: it has to be text"),  # type: ignore[arg-type]
    ],
)
async def test_a_response_that_is_none_is_named_and_is_not_the_answer_of_a_resume(
    answer: Any, reason: str, tmp_path: Path
) -> None:
    rag, judge = judged_by(answer, tmp_path)
    run = await rag.generate("a cat", max_rounds=0)
    assert run.outcome is Outcome.FAILED
    assert reason in run.reason
    judge.answer = Critique(verdict=Verdict(aligned=True))
    assert (await rag.generate("a cat", max_rounds=0, cache="reuse")).outcome is Outcome.ALIGNED


class Asking(ScriptedJudge):
    """A judge that asks a human in its own way."""

    async def critique(self, *_: Any, **__: Any) -> Any:
        return interrupt("is this a cat?")


class Invalid(ScriptedJudge):
    """A judge that makes a value that cannot be."""

    async def critique(self, *_: Any, **__: Any) -> Any:
        return Critique(verdict=Verdict(aligned=True, missing="a hat"))  # type: ignore[arg-type]


async def test_a_value_that_cannot_be_is_told_with_its_backend(tmp_path: Path) -> None:
    rag, _ = judged_by(None, tmp_path)
    rag.dependencies.use("judge", "mine", Invalid())
    run = await rag.generate("a cat", max_rounds=0)
    assert run.reason == (
        "critique failed: TypeError: scripted:judge made Verdict that cannot be used: missing: it has to be a list, "
        "not 'a hat'"
    )


async def test_an_interrupt_of_a_backend_is_an_error_of_it(tmp_path: Path) -> None:
    rag, _ = judged_by(None, tmp_path)
    rag.dependencies.use("judge", "mine", Asking())
    run = await rag.generate("a cat", max_rounds=0)
    assert (run.outcome, run.status) == (Outcome.JUDGE_UNAVAILABLE, "ended")
    assert run.reason == (
        "scripted:judge raised GraphInterrupt, which is LangGraph's: a backend cannot interrupt a run"
    )


@pytest.mark.parametrize("requests", [None, -3, 1.5, "2"])
async def test_a_number_of_requests_that_is_none_counts_as_one(requests: Any, tmp_path: Path) -> None:
    rag, _ = judged_by(Critique(verdict=Verdict(aligned=True), requests=requests), tmp_path)
    run = await rag.generate("a cat", max_rounds=0)
    assert (run.outcome, run.calls["judge.critique"]) == (Outcome.ALIGNED, 1)
    assert (await rag.runs.get(run.run_id)).calls == run.calls


async def test_half_a_character_of_a_judge_of_ones_own_is_stored(tmp_path: Path) -> None:
    rag, _ = judged_by(Critique(verdict=Verdict(aligned=True), raw="a \ud83d cat"), tmp_path)
    run = await rag.generate("a cat", max_rounds=0)
    assert (run.outcome, run.call_log[-1].raw_response) == (Outcome.ALIGNED, "a \ufffd cat")


@pytest.mark.parametrize("wait", [float("nan"), float("inf"), "5", True])
def test_a_wait_that_is_none_is_not_waited_for(wait: Any) -> None:
    assert BackendError("busy", retry_after_s=wait).retry_after_s is None


async def test_own_backends_stand_in_fallback_chains(tmp_path: Path) -> None:
    rag = ImageRAG(generator="broken,mine", judge="broken,mine", library="mine", home=tmp_path)
    rag.dependencies.use("generator", "broken", Own(None))
    rag.dependencies.use("generator", "mine", ScriptedGenerator(identity="mine:1"))
    rag.dependencies.use("judge", "broken", Judging(True))
    rag.dependencies.use("judge", "mine", ScriptedJudge(True, identity="mine:2"))
    rag.dependencies.use("library", "mine", ScriptedLibrary())
    run = await rag.generate("a cat", max_rounds=0)
    assert (run.outcome, run.attempts[0].generator) == (Outcome.ALIGNED, "mine:1")
    assert "returned NoneType, and not a GeneratedImage" in run.attempts[0].fallback_errors[0]
    assert (run.call_log[-1].backend, "and not a Critique" in run.call_log[-1].note) == ("mine:2", True)


HALF = "half a \ud83d"
"""Text that nothing can store, as a model sends it that is cut off within an emoji."""


class HalfGenerator(ScriptedGenerator):
    async def generate(self, *arguments: Any, **options: Any) -> GeneratedImage:
        drawn = await super().generate(*arguments, **options)
        return replace(drawn, served_by=HALF, revised_prompt=HALF, prompt=HALF, fallback_errors=(HALF,))


class HalfJudge(ScriptedJudge):
    async def critique(self, *arguments: Any, **options: Any) -> Critique:
        return replace(await super().critique(*arguments, **options), raw=HALF, served_by=HALF)


async def test_half_a_character_in_a_response_ends_no_run_and_no_report(tmp_path: Path) -> None:
    rag = ImageRAG(generator="mine", judge="mine", library="mine", home=tmp_path)
    library, judge = ScriptedLibrary(), HalfJudge()
    found_by = {f"a detailed picture of {HALF[:-1]}\ufffd": 0.9}
    library.plant(found_by, title=HALF, licence=HALF, tags=(HALF,), metadata={HALF: HALF})
    judge.enqueue([HALF], [])
    for role, part in {"generator": HalfGenerator(), "judge": judge, "library": library}.items():
        rag.dependencies.use(role, "mine", part)
    run = await rag.generate("a cat", threshold="off")
    assert (run.outcome, len(run.attempts)) == (Outcome.ALIGNED, 2), run.reason
    assert run.references[0].title == "half a \ufffd"
    assert "half a \ufffd" in await rag.runs.report(run)
    again = await rag.runs.get(run.run_id)
    assert again.model_dump_json() == run.model_dump_json()


def test_an_identity_of_half_a_character_is_refused(tmp_path: Path) -> None:
    rag = ImageRAG(preset="sketch", home=tmp_path)
    with pytest.raises(SpecError, match=r"identity is .* and holds half a character"):
        rag.dependencies.use("generator", "mine", ScriptedGenerator(identity=HALF))
