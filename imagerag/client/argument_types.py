"""Types that several methods of the client take: `argument_checks` holds callers to them."""

from collections.abc import Collection
from typing import Annotated

from pydantic import Field

NaturalNumber = Annotated[int, Field(ge=0, le=2**31 - 1)]
"""A number of things, none among them."""

PositiveNumber = Annotated[int, Field(ge=1, le=2**31 - 1)]
"""A number of things, one at least."""

ResultCount = Annotated[int, Field(ge=1, le=1000)]
"""Results of a search."""

Candidates = Annotated[int, Field(ge=1, le=100)]
"""Library images that are looked at per search."""

Rounds = Annotated[int, Field(ge=0, le=20)]
"""Redrawings of a run."""

Cosine = Annotated[float, Field(ge=-1, le=1)]
"""A cosine."""

Dollars = Annotated[float, Field(ge=0)]
"""US dollars."""

Seconds = Annotated[float, Field(gt=0)]
"""A time span that leaves time."""

Patience = Annotated[float, Field(ge=0)]
"""A time span that may be none, in seconds."""

Seed = Annotated[int, Field(ge=0, lt=2**32)]
"""A seed of a generator."""

Concurrency = Annotated[int, Field(ge=1, le=64)]
"""Runs at once."""

Queries = Annotated[int, Field(ge=16, le=5000)]
"""Captions that a check searches with."""

Bytes = Annotated[int, Field(ge=0, lt=2**63)]
"""A size in bytes."""

Names = str | Collection[str]
"""Several texts, or one alone."""
