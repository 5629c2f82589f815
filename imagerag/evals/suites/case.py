"""A case and a suite of them: plain values, versioned, and known by the hash of what they hold."""

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field

from imagerag.agent.errors import UsageError
from imagerag.agent.images.decoding import MAX_BYTES
from imagerag.agent.regular_files import read_regular
from imagerag.agent.types import FrozenModel, RunConfig
from imagerag.agent.types.filters import FilterExpression, MaybeFilter, parse_filter
from imagerag.agent.url_redaction import Spec


class CaseImage(FrozenModel):
    """An image file that belongs to a case, with the hash of its bytes.

    Attributes:
        path: where it lies on this machine; not part of the suite's hash.
        name: what it is called, for a subject.
    """

    path: str
    sha256: str
    name: str = ""

    @classmethod
    def of(cls, path: str | Path, name: str = "") -> "CaseImage":
        """The image in a file.

        Raises:
            UsageError: it cannot be read.
        """
        try:
            data = read_regular(Path(path).expanduser(), longest=MAX_BYTES)
        except OSError as error:
            raise UsageError(f"cannot read the image {str(path)!r}: {error.strerror or error}") from error
        return cls(path=str(Path(path).expanduser().absolute()), sha256=hashlib.sha256(data).hexdigest(), name=name)


class Truth(FrozenModel):
    """Ground truth of a case, where there is any. No generator and no judge ever gets it.

    Attributes:
        labels: what the library images that would help show: one group of names for each thing that is missing.
        wrong: hard negatives: prompts that the right image must fit less well than the case's own.
        images: images of the real thing, to compare the generated one with.
        data: whatever else the suite knows.
    """

    labels: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()
    images: tuple[CaseImage, ...] = ()
    data: Mapping[str, Any] = Field(default_factory=dict)


class Case(FrozenModel):
    """A prompt with everything that belongs to it.

    Attributes:
        id: unique in its suite; letters, digits and `/ . _ -`.
        prompt: what to draw.
        initial: the image that all arms start from; None has it drawn, once for all arms.
        subjects: the user's own images that are to be in it (personalised generation).
        rephrased: the prompt in other words, for the arm that only rewords; None lets the judge find them.
        seeds: one run of every arm for each.
        tags: what the results can be split by; they filter nothing.
        filter_tags, licences, filter: what its references must have, beside what the arm asks for.
    """

    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9/._-]{0,119}$")
    prompt: str = Field(min_length=1)
    initial: CaseImage | None = None
    subjects: tuple[CaseImage, ...] = ()
    rephrased: str | None = None
    truth: Truth = Truth()
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)
    tags: tuple[str, ...] = ()
    filter_tags: tuple[str, ...] = ()
    licences: tuple[str, ...] = ()
    filter: MaybeFilter = None

    def filtered(self, config: RunConfig) -> RunConfig:
        """The config of an arm with the filters of this case."""
        update = {
            "tags": (*config.tags, *(tag for tag in self.filter_tags if tag not in config.tags)),
            "licences": self.licences or config.licences,
            "filter": _both(config.filter, self.filter),
        }
        return config.model_copy(update=update) if self.filter_tags or self.licences or self.filter else config


def _both(first: FilterExpression | None, second: FilterExpression | None) -> FilterExpression | None:
    """Filter of an arm and of a case; of two values of one key that of the case."""
    if first is None or second is None:
        return first or second
    if first.pairs is not None and second.pairs is not None:
        return parse_filter({**first.pairs, **second.pairs})
    return first & second


class LibraryRecipe(FrozenModel):
    """A library that a suite makes for itself.

    Attributes:
        kind: what draws it, see `sketch_libraries`; or "part", a random part of a library of the user's.
        of: which one it is a part of.
        size: how many images.
        seed: decides them.
        embedder: what a drawn one is encoded with.
    """

    kind: Literal["rare", "irrelevant", "part"]
    of: str = ""
    size: int = Field(ge=1)
    seed: int = 0
    embedder: Spec = "sketch"


class Checks(FrozenModel):
    """Checks of the product's parts, beside the cases that arms run.

    Attributes:
        sections: which parts, see `evals.sketch.sections`.
        cases: generated cases of each kind.
        seed: decides every case.
        sizes: how many images the libraries of the section `threshold` hold.
        embedder: the encoder under test.
    """

    sections: tuple[str, ...] = Field(min_length=1)
    cases: int
    seed: int = 0
    sizes: tuple[int, ...]
    embedder: Spec = "sketch"


class Suite(FrozenModel):
    """Cases under one name.

    Attributes:
        version: changes when the suite's makers change what a case means.
        libraries: what it makes for itself, by name; the first is what arms use unless they say otherwise.
        checks: what is checked of the product's parts.
        notes: what was not understood when it was read; no part of it.
    """

    name: str
    version: str = "1"
    cases: tuple[Case, ...]
    libraries: Mapping[str, LibraryRecipe] = Field(default_factory=dict)
    checks: Checks | None = None
    notes: tuple[str, ...] = Field(default=(), exclude=True)

    @cached_property
    def hash(self) -> str:
        """SHA-256 over all that decides what is asked: never over where files lie."""
        content = self.model_dump(mode="json")
        for case in content["cases"]:
            if case["filter"]:  # written as it was before filters were a language, where it can be
                case["filter"] = FilterExpression(**case["filter"]).pairs or case["filter"]
            for name in ("filter_tags", "licences", "filter"):
                if not case[name]:  # a case without filters is the case it was before there were any
                    del case[name]
            for image in _images(case):
                del image["path"]
        for recipe in content["libraries"].values():
            if not recipe["of"]:  # as it was before there were parts
                del recipe["of"]
            if recipe["embedder"] == "sketch":
                del recipe["embedder"]
        if not content["checks"]:
            del content["checks"]
        text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Copy the value; a cached hash is not copied."""
        copied = super().model_copy(update=update, deep=deep)
        copied.__dict__.pop("hash", None)
        return copied

    @property
    def identity(self) -> dict[str, str]:
        """Name, version and hash, as results have them."""
        return {"name": self.name, "version": self.version, "hash": self.hash}

    def checked(self) -> "Suite":
        """The suite, when it can be run.

        Raises:
            UsageError: no case, or two of the same id.
        """
        ids: set[str] = set()
        repeated = next((case.id for case in self.cases if case.id in ids or ids.add(case.id)), None)  # type: ignore[func-returns-value]
        if not self.cases and not self.checks:
            raise UsageError(f"the suite {self.name} has no case")
        if repeated is not None:
            raise UsageError(f"the suite {self.name} has two cases {repeated!r}")
        return self

    def only(self, *, limit: int | None = None, tags: tuple[str, ...] = (), seeds: int | None = None) -> "Suite":
        """Fewer cases, or more seeds of each.

        Args:
            limit: the first so many.
            tags: those that have all of them.
            seeds: so many seeds per case, counted up from its first.
        """
        cases = [case for case in self.cases if set(tags) <= set(case.tags)][:limit]
        if seeds is not None:
            cases = [
                case.model_copy(update={"seeds": tuple(case.seeds[0] + n for n in range(seeds))}) for case in cases
            ]
        return self.model_copy(update={"cases": tuple(cases)}).checked()


def _images(case: dict[str, Any]) -> list[dict[str, Any]]:
    initial = [case["initial"]] if case["initial"] else []
    return [*initial, *case["subjects"], *case["truth"]["images"]]
