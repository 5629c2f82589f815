"""Documents of commands: errors, batches, reports, prices and trust."""

from typing import Any, Literal

from pydantic import Field

from imagerag.agent.types import Document


class ErrorDocument(Document):
    """The error of a command, in place of its document."""

    schema_name: Literal["imagerag.error/1"] = Field(default="imagerag.error/1", alias="schema")
    error: str
    message: str


class BatchSummary(Document):
    """The summary of a batch; the results themselves are lines of `imagerag.batch/1` in the file `results`.

    Attributes:
        total: lines of the input; None while not all of it was read.
        remaining: lines without a result.
        previously_done: results that an earlier start left.
        stop_reason: why it stopped before its last line; empty when it did not.
    """

    schema_name: Literal["imagerag.batch-summary/1"] = Field(default="imagerag.batch-summary/1", alias="schema")
    results: str
    total: int | None
    remaining: int
    previously_done: int
    status: dict[Literal["done", "failed", "invalid"], int]
    outcomes: dict[str, int]
    cost_usd: float | None
    elapsed_s: float
    stop_reason: str


class ReportDocument(Document):
    """The page that `report` wrote."""

    schema_name: Literal["imagerag.report/1"] = Field(default="imagerag.report/1", alias="schema")
    run_id: str
    path: str


class ReportsDocument(Document):
    """The pages that `report` wrote, by run, and their index."""

    schema_name: Literal["imagerag.reports/1"] = Field(default="imagerag.reports/1", alias="schema")
    index: str
    reports: dict[str, str]


class Price(Document):
    """The prices of a model: US dollars per million tokens by kind, per image, or per call."""

    model: str
    prices: dict[str, Any]
    source: str
    date: str | None


class PricesDocument(Document):
    """Prices of models; for `prices set` the one row, and the file it was written to."""

    schema_name: Literal["imagerag.prices/1"] = Field(default="imagerag.prices/1", alias="schema")
    file: str | None = None
    prices: list[Price]


class ModelPrices(Document):
    """The price of a model in US dollars, null where it is not known: one image of 1024x1024 at most, and a million
    tokens of text that is sent and returned."""

    free: bool
    image_usd: float | None
    text_in_usd: float | None
    text_out_usd: float | None


class ModelFacts(Document):
    """What a model takes, draws and costs."""

    provider: str
    role: Literal["generator", "judge"]
    spec: str
    references: int | None
    sizes: str
    edits: bool
    masks: bool
    seeds: bool
    licence: str
    weights: str
    cost: ModelPrices


class ModelsDocument(Document):
    """The models that are known by name."""

    schema_name: Literal["imagerag.models/1"] = Field(default="imagerag.models/1", alias="schema")
    models: list[ModelFacts]


class TrustDocument(Document):
    """A file or spec that is trusted from now on."""

    schema_name: Literal["imagerag.trust/1"] = Field(default="imagerag.trust/1", alias="schema")
    file: str | None = None
    spec: str | None = None
    kept_in: str
