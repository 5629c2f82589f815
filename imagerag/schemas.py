"""Every document that imagerag prints or writes for programs, and its JSON schema.

`schema("run")` is the JSON schema of `imagerag.run/1`. What is a pydantic model elsewhere is named here by its place;
what a command puts together itself is described here.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from imagerag.agent.errors import UsageError
from imagerag.agent.run_record import RunRecord
from imagerag.agent.state import RunUpdate
from imagerag.agent.types import Outcome, Progress, Scalar, Sha256, Similarity
from imagerag.formatting.messages import unknown
from imagerag.store.library.metadata import LibraryMetadata, Threshold
from imagerag.store.run_index import RunEntry

MODELS: Final[Mapping[str, str]] = {
    "answer": "imagerag.agent.qa.qa_record:AnswerRecord",
    "batch": "imagerag.batch.results:BatchResult",
    "batch-summary": "imagerag.schemas:BatchSummary",
    "bench": "imagerag.evals.bench.timing:BenchReport",
    "diff": "imagerag.reports.run_diff.models:RunDiff",
    "doctor": "imagerag.diagnostics.doctor:Diagnosis",
    "error": "imagerag.schemas:ErrorDocument",
    "estimate": "imagerag.graphs.cost_estimate:Estimate",
    "eval": "imagerag.evals.documents:EvalDocument",
    "eval-replay": "imagerag.evals.documents:EvalReplay",
    "event": "imagerag.schemas:EventDocument",
    "index": "imagerag.schemas:IndexDocument",
    "judge-eval": "imagerag.evals.judges.judge_score:JudgeEval",
    "libraries": "imagerag.schemas:LibrariesDocument",
    "library": "imagerag.schemas:LibraryDocument",
    "library-check": "imagerag.evals.libraries.library_eval:LibraryCheck",
    "prices": "imagerag.schemas:PricesDocument",
    "report": "imagerag.schemas:ReportDocument",
    "reports": "imagerag.schemas:ReportsDocument",
    "result": "imagerag.evals.result_record:Result",
    "run": "imagerag.agent.run_record:RunRecord",
    "run-saved": "imagerag.schemas:RunSavedDocument",
    "runs": "imagerag.schemas:RunsDocument",
    "runs-removed": "imagerag.graphs.runs.removal:RunsRemoved",
    "search": "imagerag.schemas:SearchDocument",
    "search-comparison": "imagerag.evals.libraries.search_comparison:SearchComparison",
    "sidecar": "imagerag.schemas:Sidecar",
    "similarity": "imagerag.schemas:SimilarityDocument",
    "study": "imagerag.schemas:StudyDocument",
    "threshold": "imagerag.schemas:ThresholdDocument",
    "trust": "imagerag.schemas:TrustDocument",
}
"""Name → where its model is."""


def schema(name: str) -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of `imagerag.NAME/1`.

    Raises:
        UsageError: no document is called that.
    """
    if name not in MODELS:
        raise UsageError(unknown("document", name, MODELS))
    module, _, attribute = MODELS[name].partition(":")
    made = TypeAdapter(getattr(import_module(module), attribute)).json_schema(mode="serialization", by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"imagerag.{name}/1", **made}


class Document(BaseModel):
    """Base of what is described here; never made, only described."""

    model_config = ConfigDict(extra="forbid")


class EventDocument(Document):
    """One thing that happened in a run, a line of `generate --jsonl`.

    Attributes:
        sequence: counts the events of this start or resume, from 0.
        node: which node finished, or draws (progress); "give_up" when one failed for good.
        update: what it changed, for a step.
        progress: how far a drawing is; an unfinished picture by its hash.
        warnings: what is likely to go wrong, when it starts.
        record: the whole run so far, when it waits or has ended.
    """

    schema_name: Literal["imagerag.event/1"] = Field(alias="schema")
    run_id: str
    sequence: int = Field(ge=0)
    kind: Literal["started", "progress", "step", "waiting", "ended"]
    node: str
    update: RunUpdate
    progress: Progress | None
    warnings: list[str]
    record: RunRecord | None


class Found(Document):
    """A picture that a search found.

    Attributes:
        accepted: whether its similarity reaches the threshold; None where no threshold between pictures is known.
        path: the file it was indexed from, when that is still there.
        library, threshold: where several were searched, the one it is from, and the cosine to reach there.
    """

    id: Sha256
    similarity: Similarity
    library: str = ""
    threshold: float | None = None
    accepted: bool | None
    path: str | None
    caption: str
    title: str
    metadata: dict[str, Scalar]
    tags: list[str]
    source: str
    author: str
    licence: str


class SearchDocument(Document):
    """What `search` found, best first. `threshold` is a cosine; None when it was off, or is each library's own.

    `searched_with` are the words that the encoder was asked with instead of the query; none where it was the query.
    """

    schema_name: Literal["imagerag.search/1"] = Field(alias="schema")
    library: str
    query: str | None
    image: str | None
    searched_with: list[str] = Field(default_factory=list)
    threshold: float | None
    results: list[Found]


class Compared(Document):
    """A text, and how similar the picture is to it; `accepted` is None where there is no threshold."""

    text: str
    similarity: Similarity
    accepted: bool | None


class SimilarityDocument(Document):
    """What `similarity` measured, in the order of the texts. `threshold` is the library's; None for another encoder."""

    schema_name: Literal["imagerag.similarity/1"] = Field(alias="schema")
    image: str
    embedder: str
    threshold: float | None
    results: list[Compared]


class Skipped(Document):
    """A file that was not indexed, and why."""

    path: str
    reason: str


class Level(Document):
    """A threshold: cosine, and the share of captions without a match that stay below it, in percent."""

    cosine: Similarity
    percentile: float


class IndexDocument(Document):
    """What `index` did: pictures by what became of them, seconds by stage."""

    schema_name: Literal["imagerag.index/1"] = Field(alias="schema")
    library: str
    embedder: str
    added: int
    updated: int
    unchanged: int
    duplicates: int
    skipped: list[Skipped]
    captions: int
    notes: list[Skipped]
    columns: dict[str, str]
    manifest_captions: int | None
    warnings: list[str]
    images_per_s: float
    seconds: dict[str, float]
    threshold: Level | None


class Listed(Document):
    """A library in the list; `error` says what is wrong with it."""

    name: str
    images: int | None
    embedder: str | None
    threshold: float | None
    error: str | None


class LibrariesDocument(Document):
    """What `library list` lists."""

    schema_name: Literal["imagerag.libraries/1"] = Field(alias="schema")
    libraries: list[Listed]


class LibraryInfo(Document):
    """What `library info` says of one."""

    schema_name: Literal["imagerag.library/1"] = Field(alias="schema")
    library: str
    images: int
    metadata: LibraryMetadata


class LibraryRemoved(Document):
    """What `library remove` says of one that is no more."""

    schema_name: Literal["imagerag.library/1"] = Field(alias="schema")
    library: str
    removed: Literal[True]


LibraryDocument = LibraryInfo | LibraryRemoved


class ThresholdDocument(Document):
    """What `library calibrate` measured."""

    schema_name: Literal["imagerag.threshold/1"] = Field(alias="schema")
    library: str
    threshold: Threshold


class RunsDocument(Document):
    """What `runs` lists, newest first."""

    schema_name: Literal["imagerag.runs/1"] = Field(alias="schema")
    runs: list[RunEntry]


class RunSavedDocument(Document):
    """Where `runs save` wrote a run, and the files in it."""

    schema_name: Literal["imagerag.run-saved/1"] = Field(alias="schema")
    run_id: str
    path: str
    files: list[str]


class ReportDocument(Document):
    """Where `report` wrote the page of a run."""

    schema_name: Literal["imagerag.report/1"] = Field(alias="schema")
    run_id: str
    path: str


class ReportsDocument(Document):
    """Where `report` wrote the pages of several runs, by run, and the page that lists them."""

    schema_name: Literal["imagerag.reports/1"] = Field(alias="schema")
    index: str
    reports: dict[str, str]


class Credit(Document):
    """A picture that a drawing was made with."""

    sha256: Sha256
    role: Literal["subject", "reference", "edit"]
    concept: str
    similarity: Similarity | None
    title: str
    source: str
    author: str
    licence: str


class Sidecar(Document):
    """What travels with a picture as `NAME.json`: the run, and whose pictures are in it."""

    schema_name: Literal["imagerag.sidecar/1"] = Field(alias="schema")
    run_id: str
    prompt: str
    prompt_sent: str | None
    outcome: Outcome | None
    generator: str | None
    sha256: Sha256 | None
    references: list[Credit]


class ErrorDocument(Document):
    """What a command says in the place of its document when it could not do its work."""

    schema_name: Literal["imagerag.error/1"] = Field(alias="schema")
    error: str
    message: str


class BatchSummary(Document):
    """What `batch` says at its end; the results themselves are lines of `imagerag.batch/1` in the file `results`."""

    schema_name: Literal["imagerag.batch-summary/1"] = Field(alias="schema")
    results: str
    total: int | None
    left: int
    earlier: int
    status: dict[Literal["done", "failed", "invalid"], int]
    outcomes: dict[str, int]
    cost_usd: float | None
    elapsed_s: float
    stopped: str


class Answers(Document):
    """What raters prefer, for one question of a study; None where a figure cannot be had."""

    question: str
    arm: int
    base: int
    same: int
    value: float | None
    low: float | None
    high: float | None
    p: float | None
    kappa: float | None
    raters: int
    pairs: int


class PairsStudy(Document):
    """What `eval study-results` found in the raters' answers to pairs."""

    schema_name: Literal["imagerag.study/1"] = Field(alias="schema")
    arm: str
    base: str
    questions: list[Answers]


class ContainedAnswers(Document):
    """In how many of an arm's pictures raters see what was asked for; None where a figure cannot be had."""

    arm: str
    yes: int
    no: int
    unsure: int
    value: float | None
    low: float | None
    high: float | None
    kappa: float | None
    raters: int
    pictures: int


class AbsoluteStudy(Document):
    """What `eval study-results` found in the raters' answers to one picture at a time."""

    schema_name: Literal["imagerag.study/1"] = Field(alias="schema")
    form: Literal["absolute"]
    arms: list[ContainedAnswers]


StudyDocument = PairsStudy | AbsoluteStudy


class Price(Document):
    """What a model costs: US dollars per million tokens by kind, per image, or per call."""

    model: str
    prices: dict[str, Any]
    source: str
    date: str | None


class PricesDocument(Document):
    """What `prices list` lists; of `prices set` the one row, and the file it was written to."""

    schema_name: Literal["imagerag.prices/1"] = Field(alias="schema")
    file: str | None = None
    prices: list[Price]


class TrustDocument(Document):
    """What `trust` trusts from now on: a file as it is now, or a spec."""

    schema_name: Literal["imagerag.trust/1"] = Field(alias="schema")
    file: str | None = None
    spec: str | None = None
    kept_in: str
