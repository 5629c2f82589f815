"""Documents of commands: errors, batches, reports, prices and trust."""

from typing import Any, Literal

from pydantic import Field

from imagerag.schemas.base import Document


class ErrorDocument(Document):
    """What a command says in the place of its document when it could not do its work."""

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
    """Where `report` wrote the page of a run."""

    schema_name: Literal["imagerag.report/1"] = Field(default="imagerag.report/1", alias="schema")
    run_id: str
    path: str


class ReportsDocument(Document):
    """Where `report` wrote the pages of several runs, by run, and the page that lists them."""

    schema_name: Literal["imagerag.reports/1"] = Field(default="imagerag.reports/1", alias="schema")
    index: str
    reports: dict[str, str]


class Price(Document):
    """What a model costs: US dollars per million tokens by kind, per image, or per call."""

    model: str
    prices: dict[str, Any]
    source: str
    date: str | None


class PricesDocument(Document):
    """What `prices list` lists; of `prices set` the one row, and the file it was written to."""

    schema_name: Literal["imagerag.prices/1"] = Field(default="imagerag.prices/1", alias="schema")
    file: str | None = None
    prices: list[Price]


class TrustDocument(Document):
    """What `trust` trusts from now on: a file as it is now, or a spec."""

    schema_name: Literal["imagerag.trust/1"] = Field(default="imagerag.trust/1", alias="schema")
    file: str | None = None
    spec: str | None = None
    kept_in: str
