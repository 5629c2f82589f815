"""Export the results of an evaluation as flat rows or as a Hugging Face dataset."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from imagerag.agent.errors import UsageError
from imagerag.agent.extras import import_extra
from imagerag.agent.regular_files import read_regular
from imagerag.evals.harness.evaluation import HOME
from imagerag.evals.harness.results_store import RESULTS
from imagerag.evals.result_record import Result, read_results

if TYPE_CHECKING:
    from datasets import Dataset

_EXPORTED: Final = 16
"""Images that are in memory at once while a dataset is made."""


def rows(folder: str | Path) -> Iterator[Mapping[str, Any]]:
    """The results of an evaluation as flat rows: prompt, outcome, each score, image file."""
    path = Path(folder)
    for result in read_results(path / RESULTS):
        yield flat(result, path / HOME / "blobs")


def flat(result: Result, blobs: Path) -> dict[str, Any]:
    """One result as a flat row."""
    sha256 = result.image.sha256 if result.image else None
    return {
        "suite": result.suite["name"],
        "case": result.case,
        "arm": result.arm,
        "seed": result.seed,
        "prompt": result.prompt,
        "status": result.status,
        "outcome": str(result.outcome) if result.outcome else None,
        "retrievals": result.retrievals,
        "regenerations": result.regenerations,
        "image": str(blobs / sha256[:2] / sha256[2:]) if sha256 else None,
        **{f"score.{name}": value for name, value in result.scores.items()},
    }


def export_dataset(folder: str | Path) -> "Dataset":
    """The results of an evaluation as a Hugging Face dataset: a row per result, with the image as a column.

    Save it with `save_to_disk`, `to_parquet` or `push_to_hub`: it holds the bytes of the images and no local path. A
    missing image is null.

    Raises:
        MissingExtraError: `datasets` is not installed.
        UsageError: the folder holds no finished evaluation.
    """
    import_extra("datasets", "a Hugging Face dataset", "datasets")
    from datasets import Dataset, Features, Image

    records = [dict(row) for row in rows(folder)]
    if not records:
        raise UsageError(f"{folder} holds no results to export")
    names = list(dict.fromkeys(name for row in records for name in row))
    plain = Dataset.from_dict({name: [row.get(name) for row in records] for name in names})
    features = Features({**plain.features, "image": Image()})

    def embedded(batch: dict[str, list[str | None]]) -> dict[str, list[dict[str, Any] | None]]:
        return {"image": [_pixels(path) for path in batch["image"]]}

    # An evaluation that runs again reuses the names of its image files: an earlier cached export must not be used.
    dataset = plain.map(embedded, batched=True, batch_size=_EXPORTED, features=features, load_from_cache_file=False)
    return cast("Dataset", dataset)


def _pixels(path: str | None) -> dict[str, Any] | None:
    """An image as `datasets` stores it, with its bytes; None where the file is missing."""
    try:
        data = read_regular(path) if path else b""
    except OSError:
        return None
    return {"bytes": data, "path": Path(path).name} if path and data else None
