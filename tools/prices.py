"""What models cost: a dated table that a user can edit, and the `price` hook and tariff that adapters are made with.

Prices here are second-hand and dated (`prices.toml` beside this module says which and when). What the table does not
hold is not known, and an unknown price is None, never zero. Whatever runs on the user's own machine is free.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from importlib.resources import files
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from imagerag.agent.errors import UsageError
from imagerag.agent.ports import FREE, Tariff
from imagerag.agent.types import Size
from imagerag.formatting.messages import invalid
from imagerag.tools.usage import Tokens, tokens_of

FILE: Final = "prices.toml"
ENVIRONMENT: Final = "IMAGERAG_PRICES"
OFFICIAL: Final = "api.openai.com"
TELLS_COST: Final = frozenset({"openrouter.ai"})
"""Hosts whose usage says what was billed, in US dollars."""

MILLION: Final = 1_000_000
PARTIAL_TOKENS: Final = 100
"""Image tokens that one unfinished picture of a stream costs beside the picture itself (OpenAI's image guide)."""


class Row(BaseModel):
    """What one model costs; the comments of `prices.toml` say what each field means. None is not known."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    as_of: date | None = None
    source: str = ""
    text_in: float | None = Field(default=None, ge=0)
    image_in: float | None = Field(default=None, ge=0)
    cached_in: float | None = Field(default=None, ge=0)
    text_out: float | None = Field(default=None, ge=0)
    image_out: float | None = Field(default=None, ge=0)
    image_tokens: Mapping[str, Mapping[str, int]] = Field(default_factory=dict)
    per_image: Mapping[str, Mapping[str, float]] = Field(default_factory=dict)
    image_in_tokens: int | None = Field(default=None, ge=0)
    per_call: float | None = Field(default=None, ge=0)

    def cost(self, tokens: Tokens) -> float | None:
        """US dollars for tokens by kind; None when the rate of a kind that was used is not known.

        Cached input without a rate of its own counts as full input, which it never exceeds.
        """
        # Most models know one rate for what they are told; images are dearer where they have one of their own.
        text_in, text_out = self.text_in, self.text_out
        rates = {
            "text_in": text_in,
            "image_in": self.image_in,
            "any_in": text_in if self.image_in is None else None,
            "cached_in": self.cached_in if self.cached_in is not None else text_in if self.image_in is None else None,
            "text_out": text_out,
            "image_out": self.image_out,
            "any_out": self.image_out if text_out is None else text_out if self.image_out is None else None,
        }
        total = 0.0
        for kind, count in tokens.items():
            rate = rates[kind]
            if count and rate is None:
                return None
            total += count * (rate or 0.0) / MILLION
        return total

    def most(self, prompt: int, images: int, size: Size | None, *, draws: bool, quality: str | None) -> float | None:
        """US dollars that one call can cost at most; None when the row does not say enough.

        Args:
            prompt: its length in bytes, which no tokenizer's count exceeds.
            images: how many are sent.
            size: None is the model's own choice, which only a table's "any" bounds.
            draws: whether an image is asked for, or words.
        """
        if self.per_call is not None:
            return self.per_call
        if not draws:  # what a judge adds to the prompt is not known here: only `per_call` can bound it
            return None
        priced = _dearest(self.per_image, size, quality)
        if priced is not None:
            return priced
        out, rate = _dearest(self.image_tokens, size, quality), self.image_out
        if out is None or rate is None or self.text_in is None:
            return None
        if images and (self.image_in is None or self.image_in_tokens is None):
            return None
        sent = images * (self.image_in_tokens or 0) * (self.image_in or 0.0)
        return (prompt * self.text_in + sent + out * rate) / MILLION


@dataclass(frozen=True)
class ModelPrice:
    """The `Price` hook of one model on one host (see `tools/generators/pricing.py`), and its tariff.

    Attributes:
        row: None when nobody wrote down what it costs.
        free: it runs on the user's own machine.
        complete: whether the usage that the service reports covers all that is billed.
    """

    row: Row | None
    free: bool = False
    tells_cost: bool = False
    complete: bool = True

    def __call__(self, model: str, usage: Mapping[str, Any]) -> float | None:
        """US dollars of one call; None when that is not known."""
        billed = usage.get("cost") if self.tells_cost else None
        if isinstance(billed, int | float) and not isinstance(billed, bool) and billed >= 0:
            return float(billed)
        if self.row is None:
            return 0.0 if self.free else None
        tokens = tokens_of(usage) if self.complete else None
        return self.row.cost(tokens) if tokens else None

    def tariff(self, *, draws: bool, quality: str | None = None) -> Tariff:
        """What is known before a call.

        Args:
            draws: whether the model is asked for images, or for words.
            quality: what the adapter asks for; None is any.
        """
        row = self.row
        if row is None:
            return FREE if self.free else Tariff(known=self.tells_cost)

        def most(prompt: int, images: int, size: Size | None) -> float | None:
            return row.most(prompt, images, size, draws=draws, quality=quality)

        rates = (row.text_in, row.image_out) if draws else (row.text_in, row.text_out)
        told = self.complete and None not in rates
        partial_usd = PARTIAL_TOKENS * (row.image_out or 0.0) / MILLION if draws else 0.0
        return Tariff(known=told or self.tells_cost, most=most, partial_usd=partial_usd)


@dataclass(frozen=True)
class Prices:
    """The table.

    Attributes:
        rows: by model, or `model@host`.
        sources: the files it was read from; the later ones replace rows of the earlier.
    """

    rows: Mapping[str, Row] = field(default_factory=dict)
    sources: tuple[str, ...] = ()

    @classmethod
    def load(cls, *folders: str | os.PathLike[str]) -> "Prices":
        """The packaged table, then `prices.toml` in each folder, then the file that IMAGERAG_PRICES names.

        Raises:
            UsageError: one of them is not such a table, or the named one is not there.
        """
        rows = _rows((files("imagerag.tools") / FILE).read_text(encoding="utf-8"), FILE)
        sources = [f"{FILE} (packaged)"]
        named = os.environ.get(ENVIRONMENT)
        for path in [*(Path(folder) / FILE for folder in folders), *([Path(named).expanduser()] if named else [])]:
            if named and path == Path(named).expanduser() and not path.is_file():
                raise UsageError(f"{ENVIRONMENT} names {path}, which is no file")
            if path.is_file():
                rows |= _rows(path.read_text(encoding="utf-8"), str(path))
                sources.append(str(path))
        return cls(rows, tuple(sources))

    def of(self, model: str, host: str, *, complete: bool = True) -> ModelPrice:
        """The price of a model on a host.

        A row for the very model on that host comes first, then one for the model without the date at its name's end,
        then one for the whole host; a host on this machine is free when no row says otherwise.
        """
        undated = _undated(model)
        names = [model, undated] if host == OFFICIAL else [f"{model}@{host}", f"{undated}@{host}"]
        row = next((self.rows[name] for name in [*names, f"*@{host}"] if name in self.rows), None)
        return ModelPrice(row, free=is_local(host), tells_cost=host in TELLS_COST, complete=complete)


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


def _dearest(table: Mapping[str, Mapping[str, float]], size: Size | None, quality: str | None) -> float | None:
    """The dearest entry that size and quality allow; None when one of them is not in the table."""
    levels = table.get(str(size)) or table.get("any") or {}
    return max(levels.values(), default=None) if quality in (None, "auto") else levels.get(str(quality))


def _rows(text: str, where: str) -> dict[str, Row]:
    try:
        found = tomllib.loads(text)
        return {name: Row.model_validate(row) for name, row in found.get("models", {}).items()}
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{where} is not TOML: {error}") from error
    except ValidationError as error:
        raise UsageError(f"{where} is no table of prices: {invalid(error, most=1)}") from error
    except AttributeError as error:
        raise UsageError(f'{where} is no table of prices: write [models."NAME"]') from error
