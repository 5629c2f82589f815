"""Price of one model: rates by kind of token, and upper bounds of a call's tokens."""

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
"""Maximum bytes of instructions and schema that a judge or an answerer adds to the user's text."""
IMAGE_IN_TOKENS: Final = 40_000
"""Maximum tokens of one image sent to a chat model, if its row does not say. gpt-4o-mini's 36,835 is the highest number
in any vendor's guide."""

USUAL_WORDS: Final = 3_000
"""Bytes of instructions and schema that a judge or an answerer usually adds: those of a fused verdict are 2,600."""
USUAL_IMAGE_TOKENS: Final = 1_500
"""Tokens of an image of 1,024 pixels, by the vendors' formulas from 1,000 to 1,600."""
USUAL_ANSWER: Final = 500
"""Tokens of an ordinary response: a checklist of six requirements with captions, without any reasoning before it."""
BYTES_PER_TOKEN: Final = 4
"""Of English text."""


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
        """US dollars for tokens by kind; None if the rate of a used kind is not known.

        Tokens of an unseparated kind cost the highest rate they may have, so that a booked cost is never too low.
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
        """Rate of a cached image token; if images have their own rate, the rate of cached text does not apply."""
        if self.cached_image_in is not None:
            return self.cached_image_in
        if self.image_in not in (None, self.text_in):
            return self.image_in
        return self.cached_in if self.cached_in is not None else self.dearest_in

    @property
    def dearest_in(self) -> float | None:
        """The higher of the text and image input rates."""
        return max((rate for rate in (self.text_in, self.image_in) if rate is not None), default=None)

    @property
    def dearest_out(self) -> float | None:
        """The higher of the text and image output rates."""
        return max((rate for rate in (self.text_out, self.image_out) if rate is not None), default=None)

    @property
    def written_in(self) -> float | None:
        """Highest rate of a text input token: a service may write it to its cache, which costs more."""
        return max((rate for rate in (self.text_in, self.cache_write_in) if rate is not None), default=None)


class PriceRow(Rates):
    """Price of one model; the comments of `prices.toml` explain the fields. None is not known."""

    as_of: date | None = None
    source: str = ""
    above: Mapping[int, Rates] = Field(default_factory=dict)
    image_tokens: Mapping[str, Mapping[str, int]] = Field(default_factory=dict)
    per_image: Mapping[str, Mapping[str, float]] = Field(default_factory=dict)
    image_in_tokens: int | None = Field(default=None, ge=0)
    per_call: float | None = Field(default=None, ge=0)
    per_search: float | None = Field(default=None, ge=0)

    @property
    def priced(self) -> bool:
        """Whether the row has any price; token counts alone are none."""
        rates = (self.text_in, self.image_in, self.text_out, self.image_out, self.per_call)
        return bool(self.per_image) or any(rate is not None for rate in rates)

    def rates_for(self, input_tokens: int) -> Rates:
        """Rates of a call with this many input tokens: for long inputs all tokens can cost more."""
        passed = [start for start in self.above if input_tokens > start]
        return self.above[max(passed)] if passed else self

    def cost(self, tokens: Tokens) -> float | None:
        """US dollars for tokens by kind; None if the rate of a used kind is not known."""
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
        """Maximum cost of one call in US dollars; None if the row lacks a needed field.

        Args:
            prompt: its length in bytes, an upper bound of its tokens.
            images: number of images that are sent.
            size: None is the model's own choice.
            draws: whether an image is requested, or text.
            answer: maximum number of text tokens of the response; None for no limit.
        """
        if self.per_call is not None:
            return self.per_call
        if draws:
            return self._most_drawn(prompt, images, size, quality)
        return None if answer is None else self._most_said(prompt, images, answer)

    def usual(self, prompt: int, images: int, size: Size | None, *, draws: bool, quality: str | None) -> float | None:
        """Cost of one ordinary call in US dollars; None if the row lacks a needed field. Arguments as `most`.

        An image costs what it costs at most; the length of a text is estimated.
        """
        if draws or self.per_call is not None:
            return self.most(prompt, images, size, draws=draws, quality=quality)
        text = (prompt + USUAL_WORDS) / BYTES_PER_TOKEN
        image_tokens = images * min(self.image_in_tokens or USUAL_IMAGE_TOKENS, USUAL_IMAGE_TOKENS)
        rates = self.rates_for(round(text + image_tokens))
        if rates.text_in is None or rates.dearest_out is None:
            return None
        look = max(rates.text_in, rates.image_in or 0.0)
        return (text * rates.text_in + image_tokens * look + USUAL_ANSWER * rates.dearest_out) / MILLION

    def _most_drawn(self, prompt: int, images: int, size: Size | None, quality: str | None) -> float | None:
        priced = _dearest(self.per_image, size, quality)
        if priced is not None:
            return priced
        out, rate, text = _dearest(self.image_tokens, size, quality), self.dearest_out, self.written_in
        if out is None or self.image_out is None or rate is None or text is None:
            return None
        if images and (self.image_in is None or self.image_in_tokens is None):
            return None
        image_cost = images * (self.image_in_tokens or 0) * (self.image_in or 0.0)
        return (prompt * text + image_cost + out * rate) / MILLION

    def _most_said(self, prompt: int, images: int, answer: int) -> float | None:
        text = prompt + JUDGE_WORDS
        image_tokens = images * (self.image_in_tokens or IMAGE_IN_TOKENS)
        rates = self.rates_for(text + image_tokens)
        if rates.written_in is None or rates.dearest_out is None:
            return None
        # Chat models count an image as normal input, unless they have a rate of their own for images.
        look = max(rates.written_in, rates.image_in or 0.0)
        return (text * rates.written_in + image_tokens * look + answer * rates.dearest_out) / MILLION


def _dearest(table: Mapping[str, Mapping[str, float]], size: Size | None, quality: str | None) -> float | None:
    """The most expensive entry that size and quality allow; None if one of them is not in the table.

    A size without an entry counts as its megapixels rounded up, if the table has such an entry.
    """
    by_quality = table.get(str(size) if size else "auto") or table.get("any")
    if by_quality is not None:
        return _level(by_quality, quality)
    if size is None or "megapixel" not in table:
        return None
    one = _level(table["megapixel"], quality)
    return None if one is None else one * ceil(size.width * size.height / MEGAPIXEL)


def _level(levels: Mapping[str, float], quality: str | None) -> float | None:
    if quality in (None, "auto"):
        return max(levels.values(), default=None)
    return levels.get(str(quality), levels.get("any"))
