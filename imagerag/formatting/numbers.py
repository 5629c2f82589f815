"""Numbers as people read them, rounded once, from the full value.

A document (JSON, a checkpoint, a tool's structured data) holds the full value; every interface formats it
here for people. Nothing rounds a number that is rounded again when it is shown.
"""

from collections.abc import Mapping
from typing import Final

UNKNOWN_PRICE: Final = "price not known"

_MANY: Final = 1e9
"""From here on a number is shown by its size: what is foreign must stay short, whatever it says."""


def cosine(value: float) -> str:
    """A similarity or a threshold, three digits: smaller differences mean nothing, and there is no minus nothing."""
    return f"{value:z.3f}" if abs(value) < 1e6 else f"{value:.3g}"


def threshold_words(thresholds: Mapping[str, float], *, off: str) -> str:
    """The threshold, for each library where there are several; `off` where anything passes."""
    limits = [f"cosine ≥ {cosine(limit)}{f' in {name}' if name else ''}" for name, limit in thresholds.items()]
    return f"threshold {', '.join(limits)}" if limits else off


def temperature(value: float) -> str:
    """A sampling temperature, two digits."""
    return f"temperature {value:z.2f}"


def size_of_bytes(number: int) -> str:
    """`12 B`, `4.2 kB`, `1.3 GB`, in powers of ten."""
    size = float(number)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 99.95 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def rate(per_second: float, what: str) -> str:
    """`12.3 images/s`."""
    return f"{per_second:,.1f} {what}/s"


def box(shares: tuple[float, float, float, float]) -> str:
    """A box in an image: `box 20–45 % across, 30–60 % down`.

    Args:
        shares: left, top, right and bottom, in [0, 1].
    """
    left, top, right, bottom = (round(100 * share) for share in shares)
    return f"box {left}–{right} % across, {top}–{bottom} % down"


def score(value: float) -> str:
    """A score, a share or a probability of an evaluation, three digits."""
    return f"{value:z.3f}"


def difference(value: float) -> str:
    """A difference of scores, three digits, with its sign."""
    return f"{value:+z.3f}"


def percent(share: float) -> str:
    """A share from 0 to 1 as `67 %`. What is not all is never called 100 %, what is not nothing never 0 %."""
    text = f"{100 * share:z.0f}"
    if text == "100" and share < 1:
        return "over 99 %"
    return "under 1 %" if text == "0" and share > 0 else f"{text} %"


def percentile(value: float) -> str:
    """A percentile from 0 to 100 with one digit, which is left out where it is nothing: `95 %`, `97.5 %`."""
    return f"{f'{value:z.1f}'.removesuffix('.0')} %"


def dollars(usd: float | None, assumed: float | None = 0.0, unsettled: float = 0.0) -> str:
    """US dollars: `$0.00`, `$0.0412`, `$3.20`. A price that is not known is not zero, and a little is not nothing.

    Args:
        assumed: how much of it was assumed for want of a price: `$0.40 at most, $0.10 of it assumed`.
        unsettled: how much of it calls without an answer may have cost: `$0.40 at most, $0.10 of it unanswered`.
    """
    if usd is None:
        return UNKNOWN_PRICE
    parts = [(assumed or 0.0, "assumed"), (unsettled, "unanswered")]
    shares = [word if part >= usd else f"{_dollars(part)} of it {word}" for part, word in parts if part]
    return f"{_dollars(usd)} at most, {', '.join(shares)}" if shares else _dollars(usd)


def _dollars(usd: float) -> str:
    if usd and usd < 0.00005:
        return "under $0.0001"
    if usd >= _MANY:
        return f"${usd:.3g}"
    return f"${usd:,.4f}" if usd and usd < 0.09995 else f"${usd:,.2f}"


def seconds(elapsed: float) -> str:
    """`12 ms`, `3.4 s`, `2 min 05 s`."""
    if elapsed < 0.9995:
        return f"{1000 * elapsed:.0f} ms"
    if elapsed < 99.95:
        return f"{elapsed:.1f} s"
    if elapsed >= _MANY:
        return f"{elapsed:.3g} s"
    minutes, rest = divmod(round(elapsed), 60)
    return f"{minutes:,} min {rest:02} s"


def counted(number: int, one: str, many: str = "") -> str:
    """`1 image`, `2 images`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def attempt(index: int) -> str:
    """An attempt as people count: the first drawing is attempt 1. Documents keep its index, which counts from 0."""
    return f"attempt {index + 1}"


def attempt_of(index: int, count: int) -> str:
    """`attempt 2 of 3`."""
    return f"{attempt(index)} of {count}"


def drawing(round: int) -> str:
    """A round: `first drawing`, `round 2`."""
    return f"round {round}" if round else "first drawing"


def met(number: int, of: int) -> str:
    """The met part of a checklist."""
    return f"{number} of {of} met"


def model_calls(count: int, reused: int = 0) -> str:
    """The number of model calls; responses from the journal are counted apart."""
    again = f" ({counted(reused, 'answer')} from the journal)" if reused else ""
    return counted(count, "model call") + again
