"""The JSON documents that imagerag prints or writes for programs, and their JSON schemas.

`schema("run")` is the JSON schema of `imagerag.run/1`. Each document is made from its pydantic model.

To add a document, write its model and name it in `MODELS`.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

from pydantic import TypeAdapter

from imagerag.agent.errors import UsageError
from imagerag.formatting.messages import unknown

MODELS: Final[Mapping[str, str]] = {
    "answer": "imagerag.agent.qa.qa_record:AnswerRecord",
    "batch": "imagerag.batch.results:BatchResult",
    "batch-estimate": "imagerag.batch.batch_estimate:BatchEstimate",
    "batch-summary": "imagerag.schemas.commands:BatchSummary",
    "bench": "imagerag.evals.bench.timing:BenchReport",
    "diff": "imagerag.reports.run_diff.models:RunDiff",
    "doctor": "imagerag.diagnostics.doctor:Diagnosis",
    "error": "imagerag.schemas.commands:ErrorDocument",
    "estimate": "imagerag.graphs.cost_estimate:Estimate",
    "eval": "imagerag.evals.documents:EvalDocument",
    "eval-replay": "imagerag.evals.documents:EvalReplay",
    "eval-tables": "imagerag.evals.documents:EvalTables",
    "event": "imagerag.graphs.runs.events:EventDocument",
    "image": "imagerag.store.library.maintenance.export:ImageSidecar",
    "index": "imagerag.schemas.libraries:IndexDocument",
    "judge-eval": "imagerag.evals.judges.judge_score:JudgeEval",
    "libraries": "imagerag.schemas.libraries:LibrariesDocument",
    "library": "imagerag.schemas.libraries:LibraryDocument",
    "library-check": "imagerag.schemas.library_checks:CheckDocument",
    "library-duplicates": "imagerag.schemas.libraries:DuplicatesDocument",
    "library-export": "imagerag.schemas.libraries:ExportDocument",
    "library-images": "imagerag.schemas.libraries:ImagesDocument",
    "library-migration": "imagerag.schemas.libraries:MigrationDocument",
    "library-snapshots": "imagerag.schemas.libraries:SnapshotsDocument",
    "library-stats": "imagerag.schemas.libraries:StatisticsDocument",
    "library-unmatched": "imagerag.schemas.libraries:UnmatchedDocument",
    "library-verification": "imagerag.schemas.libraries:VerificationDocument",
    "models": "imagerag.schemas.commands:ModelsDocument",
    "prices": "imagerag.schemas.commands:PricesDocument",
    "report": "imagerag.schemas.commands:ReportDocument",
    "reports": "imagerag.schemas.commands:ReportsDocument",
    "result": "imagerag.evals.result_record:Result",
    "run": "imagerag.agent.run_record:RunRecord",
    "run-saved": "imagerag.schemas.runs:RunSavedDocument",
    "runs": "imagerag.schemas.runs:RunsDocument",
    "runs-removed": "imagerag.graphs.runs.removal:RunsRemoved",
    "search": "imagerag.schemas.searches:SearchDocument",
    "search-comparison": "imagerag.evals.libraries.search_comparison:SearchComparison",
    "sidecar": "imagerag.files.sidecar:Sidecar",
    "similarity": "imagerag.schemas.searches:SimilarityDocument",
    "study": "imagerag.evals.human_study.documents:StudyDocument",
    "thread": "imagerag.graphs.runs.thread_documents:ThreadDocument",
    "threads": "imagerag.graphs.runs.thread_documents:ThreadsDocument",
    "threads-removed": "imagerag.graphs.runs.thread_documents:ThreadsRemoved",
    "threshold": "imagerag.schemas.libraries:ThresholdDocument",
    "trust": "imagerag.schemas.commands:TrustDocument",
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
    json_schema = TypeAdapter(getattr(import_module(module), attribute)).json_schema(
        mode="serialization", by_alias=True
    )
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"imagerag.{name}/1", **json_schema}
