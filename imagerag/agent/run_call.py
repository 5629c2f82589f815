"""The call of the Python API that makes a run again, with the same backends and options but for what is named."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from imagerag.agent.types import BUILT_IN_LIBRARY, PATIENCE_S, RunConfig
from imagerag.formatting.interface_terms import FILE, PROMPT, python_call

if TYPE_CHECKING:
    from imagerag.agent.run_record import RunRecord

LONGEST_PROMPT: Final = 60
"""Characters of a prompt that is repeated; a longer one becomes a placeholder."""

_BACKENDS: Final = ("generator", "judge", "reranker")
_NO_OPTIONS: Final = frozenset({"near_duplicate", "retrieve_by", "deadline_at", "patience_s", "cache", "mask_feather"})
"""Fields of `RunConfig` that `generate` does not take, or that are looked at by themselves."""


def run_call(record: "RunRecord", **changes: Any) -> str:
    """The call that makes this run again.

    Args:
        changes: other backends and options; None leaves one out. Files of the user's own, whose names the record does
            not hold, are placeholders.
    """
    options = dict(_options(record)) | changes
    settings = {name: options.pop(name) for name in _BACKENDS if options.get(name) is not None}
    return python_call("generate", _prompt(record.prompt), settings=settings, **options)


def _prompt(text: str) -> str:
    """The prompt, or a placeholder if it is long, or a command line would take it for something else."""
    return PROMPT if len(text) > LONGEST_PROMPT or "`" in text or text.startswith("-") else text


def _options(record: "RunRecord") -> Iterator[tuple[str, Any]]:
    yield from _own_images(record)
    if (setup := record.setup) is None:
        return
    yield from ((name, getattr(setup, name)) for name in _BACKENDS)
    yield "library", setup.library if setup.library != BUILT_IN_LIBRARY else None
    config = setup.config
    for name, field in RunConfig.model_fields.items():
        value = getattr(config, name)
        if name not in _NO_OPTIONS and value != field.default:
            yield name, _plain(value)
    if config.cache == "reuse":  # a replay would find nothing but what it found
        yield "cache", config.cache
    if config.patience_s != PATIENCE_S:
        yield "patience_s", config.patience_s
    if setup.deadline_s is not None:
        yield "deadline_s", setup.deadline_s


def _plain(value: Any) -> Any:
    """A value as it is written: sizes and filters are texts."""
    if isinstance(value, tuple):
        return list(value)
    return value if isinstance(value, str | int | float) else str(value)


def _own_images(record: "RunRecord") -> Iterator[tuple[str, Any]]:
    """The user's own images that the first drawing was made of."""
    if not record.attempts or (record.parent_run and record.parent_run.step is None):
        return
    first, config = record.attempts[0], record.setup.config if record.setup else None
    if first.origin == "handed_in":
        yield "initial_image", FILE
    own = [one for one in first.references if one.role != "reference" and one.selected_by in ("given", "by_hand")]
    subjects = [(one.concept, FILE) if one.concept else FILE for one in own if one.role == "subject"]
    if subjects:
        yield "subjects", subjects
    for edited in (one for one in own if one.role == "edit"):
        of_library = edited.selected_by == "by_hand"
        yield ("edit_library", edited.image.sha256[:12]) if of_library else ("edit", FILE)
        if edited.mask is not None:
            yield "mask", FILE
            if config and config.mask_feather:
                yield "mask_feather", config.mask_feather
