"""The last check of a library, stored in its LanceDB table beside its metadata.

It has a key of its own in the metadata of the `vector` field, so that earlier versions of imagerag read the others as
before, and it comes and goes with the vectors that it was measured on: a migration to another encoder has none.
"""

from datetime import UTC, datetime
from typing import Any, Final

from pydantic import AwareDatetime, ValidationError

from imagerag.agent.types import FrozenModel
from imagerag.store.library.check.library_check import LibraryCheck
from imagerag.store.library.schema import VECTOR
from imagerag.store.library.table import LibraryTable
from imagerag.store.library.thresholds.content import content_of

CHECK_KEY: Final = "imagerag.check"


class LastCheck(FrozenModel):
    """The last check of a library.

    Attributes:
        checked: when.
        queries: captions that were searched with, at most.
        is_current: whether the library still holds the images, titles and captions that it was measured on.
    """

    checked: AwareDatetime
    queries: int
    is_current: bool
    check: LibraryCheck


class _StoredCheck(FrozenModel):
    """A check as it is stored.

    Attributes:
        version: of the table that has it first. Where the table still has this version, its content is not read.
    """

    checked: AwareDatetime
    queries: int
    check: LibraryCheck
    version: int


def last_check_of(lance: Any) -> LastCheck | None:
    """The last check in a library's LanceDB table; None without one, or with one that this version cannot read.

    Blocks; reads the titles and captions of all images where something was written since.
    """
    stored = _stored(lance)
    if stored is None:
        return None
    check = stored.check
    is_current = lance.version == stored.version or (
        lance.count_rows() == check.images and content_of(lance) == check.measured_on
    )
    return LastCheck(checked=stored.checked, queries=stored.queries, is_current=is_current, check=check)


async def store_check(table: LibraryTable, check: LibraryCheck, queries: int) -> None:
    """Store a check, unless there is one of the same content that searched with more captions.

    Raises:
        LibraryError: the library cannot be written.
    """

    def work() -> None:
        with table.calibrating():
            last = _stored(table.lance)
            if last and last.queries > queries and last.check.measured_on == check.measured_on:
                return
            version = table.lance.version + 1  # of this commit; another one that comes before is told by its number
            stored = _StoredCheck(checked=datetime.now(UTC), queries=queries, check=check, version=version)
            metadata = {CHECK_KEY: stored.model_dump_json()}
            table.lance.update_field_metadata({"path": VECTOR, "metadata": metadata})

    await table.write(work)


def _stored(lance: Any) -> _StoredCheck | None:
    text = (lance.schema.field(VECTOR).metadata or {}).get(CHECK_KEY.encode())
    try:
        return _StoredCheck.model_validate_json(text) if text else None
    except ValidationError:
        return None
