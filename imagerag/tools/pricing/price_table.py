"""Model prices, and the price hooks and estimators of adapters.

Rates come from the package genai-prices, image token counts from `prices.toml` beside this module; the user's own
`prices.toml` overrides both. A price that none of them has is None, never zero. Models on the user's own machine are
free, except models that are sold: a proxy on this machine passes on their bill.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from importlib.metadata import version
from importlib.resources import files
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from pydantic import ValidationError

from imagerag.agent.environment import environment_value
from imagerag.agent.errors import UsageError
from imagerag.agent.ports import FREE, PriceEstimator
from imagerag.agent.regular_files import read_regular_text
from imagerag.agent.types import Size
from imagerag.formatting.messages import invalid
from imagerag.tools.pricing.catalogue import PACKAGE, at_host, at_vendor, is_sold
from imagerag.tools.pricing.price_rows import MILLION, PriceRow
from imagerag.tools.pricing.token_usage import searches_of, tokens_of

FILE: Final = "prices.toml"
ENVIRONMENT: Final = "IMAGERAG_PRICES"
OFFICIAL: Final = "api.openai.com"
TELLS_COST: Final = frozenset({"openrouter.ai"})
"""Hosts whose usage reports the billed cost, in US dollars."""

PARTIAL_TOKENS: Final = 100
"""Extra image tokens of one partial image of a stream (OpenAI's image guide)."""


@dataclass(frozen=True)
class ModelPrice:
    """Price hook of one model on one host (see `tools/pricing/call_cost.py`), and its estimator.

    Attributes:
        row: None if no table has the model.
        free: whether it runs on the user's own machine.
        complete: whether the usage that the service reports covers all that is billed.
    """

    row: PriceRow | None
    free: bool = False
    tells_cost: bool = False
    complete: bool = True

    def __call__(self, model: str, usage: Mapping[str, Any]) -> float | None:
        """US dollars of one call; None if not known."""
        # A proxy on this machine may pass on a bill of a service behind it, under any model name.
        # Any server could claim that a call was free; only OpenRouter is trusted.
        billed = usage.get("cost") if self.tells_cost or self.row is None else None
        if isinstance(billed, int | float) and not isinstance(billed, bool) and (billed > 0 or self.tells_cost):
            return max(0.0, float(billed))
        if self.row is None:
            return 0.0 if self.free else None
        tokens = tokens_of(usage) if self.complete else None
        cost, searches = self.row.cost(tokens) if tokens else None, searches_of(usage)
        if cost is None or not searches:
            return cost
        return None if self.row.per_search is None else cost + searches * self.row.per_search

    @property
    def bounded(self) -> bool:
        """Whether a text response costs money by its length, so that the caller must limit it."""
        return self.row is not None and self.row.per_call is None and bool(self.row.text_out)

    def tariff(self, *, draws: bool, quality: str | None = None, answer: int | None = None) -> PriceEstimator:
        """Estimator of the cost before a call.

        Args:
            draws: whether an image is requested, or text.
            quality: the adapter's quality; None for any.
            answer: maximum number of text tokens of the response; None for no limit.
        """
        row = self.row
        if row is None:
            return FREE if self.free else PriceEstimator(known=self.tells_cost)

        def most(prompt: int, images: int, size: Size | None) -> float | None:
            return row.most(prompt, images, size, draws=draws, quality=quality, answer=answer)

        def usual(prompt: int, images: int, size: Size | None) -> float | None:
            return row.usual(prompt, images, size, draws=draws, quality=quality)

        rates = (row.text_in, row.image_out) if draws else (row.text_in, row.text_out)
        complete = self.complete and None not in rates
        partial_usd = PARTIAL_TOKENS * (row.image_out or 0.0) / MILLION if draws else 0.0
        return PriceEstimator(known=complete or self.tells_cost, most=most, usual=usual, partial_usd=partial_usd)


@dataclass(frozen=True)
class Prices:
    """The user's price table, over the packaged ones.

    Attributes:
        rows: the user's rows, by model, or `model@host`.
        sources: names of the tables; later ones override earlier ones.
        counts: token counts of images, by the start of a model's name.
    """

    rows: Mapping[str, PriceRow] = field(default_factory=dict)
    sources: tuple[str, ...] = ()
    counts: Mapping[str, PriceRow] = field(default_factory=dict)

    @classmethod
    def load(cls, *folders: str | os.PathLike[str]) -> "Prices":
        """Load the packaged tables, then `prices.toml` of each folder, then the file in IMAGERAG_PRICES.

        Raises:
            UsageError: a file is no price table, or the one in IMAGERAG_PRICES does not exist.
        """
        counts, packaged = _packaged()
        rows: dict[str, PriceRow] = {}
        sources = [packaged]
        own = environment_value(ENVIRONMENT)
        for path in [
            *(Path(folder) / FILE for folder in folders),
            *([Path(own).expanduser()] if own else []),
        ]:
            if own and path == Path(own).expanduser() and not path.is_file():
                raise UsageError(f"{ENVIRONMENT} names {path}, which is no file")
            if path.is_file():
                file_rows = rows_of(read_table(path), str(path))
                rows |= {
                    name: row.model_copy(update={"source": row.source or str(path)}) for name, row in file_rows.items()
                }
                sources.append(str(path))
        return cls(rows, tuple(sources), counts)

    def of(self, model: str, host: str, *, complete: bool = True, local: bool = False) -> ModelPrice:
        """The price of a model on a host.

        In order of precedence: the user's row for the model on that host, for the model without the date at its name's
        end, and for the whole host; then the catalogue. On this machine a model that is sold costs its vendor's price,
        since a proxy passes on the bill; any other model is free.

        Args:
            complete: whether the usage that the service reports covers all that is billed.
            local: whether the server runs models itself, whatever their names.
        """
        undated = _undated(model)
        names = [model, undated] if host == OFFICIAL else [f"{model}@{host}", f"{undated}@{host}"]
        here = is_local(host)
        sold = here and not local and is_sold(model)
        names += [f"*@{host}", *([model, undated] if sold else [])]
        row = next((self.rows[name] for name in names if name in self.rows), None)
        if row is None and (sold or not here):
            look = at_vendor if sold else partial(at_host, host=host)
            row = look(model) or look(undated)
        row = row and self._counted(model, row)
        return ModelPrice(row, free=here and not sold, tells_cost=host in TELLS_COST, complete=complete)

    def _counted(self, model: str, row: PriceRow) -> PriceRow:
        """The row, with the packaged image token counts if it has none."""
        bare = model.rpartition("/")[2].lower()
        fitting = [name for name in self.counts if bare == name or bare.startswith(f"{name}-")]
        if not fitting:
            return row
        counts = self.counts[max(fitting, key=len)]
        update = {name: getattr(counts, name) for name in ("image_tokens", "image_in_tokens") if not getattr(row, name)}
        return row.model_copy(update=update)


@cache
def _packaged() -> tuple[Mapping[str, PriceRow], str]:
    """The packaged image token counts, and the names of the packaged tables."""
    counts = rows_of((files("imagerag.tools.pricing") / FILE).read_text(encoding="utf-8"), FILE)
    return MappingProxyType(counts), f"{PACKAGE} {version(PACKAGE)}, {FILE} (packaged)"


def is_local(host: str) -> bool:
    """Whether a host is this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _undated(model: str) -> str:
    head, date_ = model[:-11], model[-11:]
    parts = date_.split("-")
    dated = len(parts) == 4 and not parts[0] and all(part.isdigit() for part in parts[1:])
    return head if head and dated else model


def read_table(path: Path) -> str:
    """Read the text of a price table.

    Raises:
        UsageError: the file cannot be read.
    """
    try:
        return read_regular_text(path)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read as a table of prices: {error}") from error


def rows_of(text: str, where: str) -> dict[str, PriceRow]:
    """Parse the rows of a price table.

    Raises:
        UsageError: it is no price table.
    """
    try:
        document = tomllib.loads(text)
        return {name: PriceRow.model_validate(row) for name, row in document.get("models", {}).items()}
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{where} is not TOML: {error}") from error
    except ValidationError as error:
        raise UsageError(f"{where} is no table of prices: {invalid(error, most=1)}") from error
    except AttributeError as error:
        raise UsageError(f'{where} is no table of prices: write [models."NAME"]') from error
