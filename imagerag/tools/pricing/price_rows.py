"""What one model costs: rates by kind of token, and how many tokens a call can come to."""

from collections.abc import Mapping
from datetime import date
from math import ceil
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from imagerag.agent.types import Size
from imagerag.tools.pricing.token_usage import Tokens

MILLION: Final = 1_000_000
MEGAPIXEL: Final = 1024 * 1024
JUDGE_WORDS: Final = 16_000
"""Bytes of instructions and schema, at most, that a judge or an answerer puts around the user's own words."""
IMAGE_IN_TOKENS: Final = 40_000
"""Tokens that one image sent to a chat model can count at most, where its row does not say: gpt-4o-mini's 36,835 are
the most that any vendor's guide tells of an image."""


class Rates(BaseModel):
    """US dollars per million tokens, by kind. None is not known."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    text_in: float | None = Field(default=None, ge=0)
    image_in: float | None = Field(default=None, ge=0)
    cached_in: float | None = Field(default=None, ge=0)
    cached_image_in: float | None = Field(default=None, ge=0)
    cache_write_in: float | None = Field(default=None, ge=0)
    text_out: float | None = Field(default=None, ge=0)
    image_out: float | None = Field(default=None, ge=0)

    def cost(self, tokens: Tokens) -> float | None:
        """US dollars for tokens by kind; None when the rate of a kind that was used is not known.

        What is not told apart costs the dearest of what it can be, so a booked cost is never too low.
        """
        rates = {
            "text_in": self.text_in,
            "image_in": self.image_in,
            "any_in": self.dearest_in,
            "cached_in": self.cached_in if self.cached_in is not None else self.dearest_in,
            "cached_image_in": self._cached_image,
            "cache_write_in": self.cache_write_in if self.cache_write_in is not None else self.dearest_in,
            "text_out": self.text_out,
            "image_out": self.image_out,
            "any_out": self.dearest_out,
        }
        total = 0.0
        for kind, count in tokens.items():
            rate = rates[kind]
            if count and rate is None:
                return None
            total += count * (rate or 0.0) / MILLION
        return total

    @property
    def _cached_image(self) -> float | None:
        """An image that was cached; where images have a rate of their own, a rate for cached words says nothing."""
        if self.cached_image_in is not None:
            return self.cached_image_in
        if self.image_in not in (None, self.text_in):
            return self.image_in
        return self.cached_in if self.cached_in is not None else self.dearest_in

    @property
    def dearest_in(self) -> float | None:
        """What a token of input can cost at most, written to a cache or not."""
        return max((rate for rate in (self.text_in, self.image_in) if rate is not None), default=None)

    @property
    def dearest_out(self) -> float | None:
        """What a token of output can cost at most."""
        return max((rate for rate in (self.text_out, self.image_out) if rate is not None), default=None)

    @property
    def written_in(self) -> float | None:
        """What a token of text that is sent can cost at most: a service may write it to its cache, which is dearer."""
        return max((rate for rate in (self.text_in, self.cache_write_in) if rate is not None), default=None)


class PriceRow(Rates):
    """What one model costs; the comments of `prices.toml` say what each field means. None is not known."""

    as_of: date | None = None
    source: str = ""
    above: Mapping[int, Rates] = Field(default_factory=dict)
    image_tokens: Mapping[str, Mapping[str, int]] = Field(default_factory=dict)
    per_image: Mapping[str, Mapping[str, float]] = Field(default_factory=dict)
    image_in_tokens: int | None = Field(default=None, ge=0)
    per_call: float | None = Field(default=None, ge=0)

    @property
    def priced(self) -> bool:
        """Whether it says anything about money; a row of token counts alone does not."""
        rates = (self.text_in, self.image_in, self.text_out, self.image_out, self.per_call)
        return bool(self.per_image) or any(rate is not None for rate in rates)

    def rates_for(self, sent: int) -> Rates:
        """The rates of a call with so many tokens of input: long ones can be dearer, all of their tokens."""
        passed = [start for start in self.above if sent > start]
        return self.above[max(passed)] if passed else self

    def cost(self, tokens: Tokens) -> float | None:
        """US dollars for tokens by kind; None when the rate of a kind that was used is not known."""
        rates = self.rates_for(sum(count for kind, count in tokens.items() if kind.endswith("_in")))
        return super().cost(tokens) if rates is self else rates.cost(tokens)

    def most(
        self,
        prompt: int,
        images: int,
        size: Size | None,
        *,
        draws: bool,
        quality: str | None,
        answer: int | None = None,
    ) -> float | None:
        """US dollars that one call can cost at most; None when the row does not say enough.

        Args:
            prompt: its length in bytes, which no tokenizer's count exceeds.
            images: how many are sent.
            size: None is the model's own choice.
            draws: whether an image is asked for, or words.
            answer: how many tokens it may say in words; None is any number.
        """
        if self.per_call is not None:
            return self.per_call
        if draws:
            return self._most_drawn(prompt, images, size, quality)
        return None if answer is None else self._most_said(prompt, images, answer)

    def _most_drawn(self, prompt: int, images: int, size: Size | None, quality: str | None) -> float | None:
        priced = _dearest(self.per_image, size, quality)
        if priced is not None:
            return priced
        out, rate, text = _dearest(self.image_tokens, size, quality), self.dearest_out, self.written_in
        if out is None or self.image_out is None or rate is None or text is None:
            return None
        if images and (self.image_in is None or self.image_in_tokens is None):
            return None
        sent = images * (self.image_in_tokens or 0) * (self.image_in or 0.0)
        return (prompt * text + sent + out * rate) / MILLION

    def _most_said(self, prompt: int, images: int, answer: int) -> float | None:
        text = prompt + JUDGE_WORDS
        seen = images * (self.image_in_tokens or IMAGE_IN_TOKENS)
        rates = self.rates_for(text + seen)
        if rates.written_in is None or rates.dearest_out is None:
            return None
        # Chat models count an image as input like any other, unless they have a rate of their own for it.
        look = max(rates.written_in, rates.image_in or 0.0)
        return (text * rates.written_in + seen * look + answer * rates.dearest_out) / MILLION


def _dearest(table: Mapping[str, Mapping[str, float]], size: Size | None, quality: str | None) -> float | None:
    """The dearest entry that size and quality allow; None when one of them is not in the table.

    A size without an entry of its own counts as the whole megapixels it begins, where the table has such an entry.
    """
    named = table.get(str(size) if size else "auto") or table.get("any")
    if named is not None:
        return _level(named, quality)
    if size is None or "megapixel" not in table:
        return None
    one = _level(table["megapixel"], quality)
    return None if one is None else one * ceil(size.width * size.height / MEGAPIXEL)


def _level(levels: Mapping[str, float], quality: str | None) -> float | None:
    if quality in (None, "auto"):
        return max(levels.values(), default=None)
    return levels.get(str(quality), levels.get("any"))
