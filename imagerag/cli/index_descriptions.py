"""`imagerag index --describe`: what descriptions will cost, and what became of them."""

from typing import TYPE_CHECKING

from imagerag.cli.terminal.output import count, entry
from imagerag.formatting.interface_terms import as_commands
from imagerag.formatting.numbers import UNKNOWN_PRICE, dollars
from imagerag.formatting.text import clean

if TYPE_CHECKING:
    from imagerag.agent.types import DescriptionEstimate
    from imagerag.schemas.libraries import Descriptions
    from imagerag.store.library.indexing.index_report import IndexReport


def descriptions_document(report: "IndexReport") -> "Descriptions | None":
    """The descriptions of a run as JSON data; None where nothing describes images of the library."""
    from imagerag.schemas.libraries import Descriptions

    if not report.describer:
        return None
    return Descriptions(
        describer=report.describer,
        described=report.described,
        low_confidence=report.low_confidence,
        calls=report.description_calls,
        cost_usd=report.description_cost_usd,
        left=report.descriptions_left,
        stopped=as_commands(report.descriptions_stopped),
        expected=report.descriptions_expected,
    )


def estimate_text(expected: "DescriptionEstimate", describer: str = "") -> str:
    """`120 images to describe with openai:…: about $0.12, at most $0.40 (240 calls)`."""
    by = f" with {clean(describer)}" if describer else ""
    if expected.max_cost_usd is None and expected.expected_cost_usd is None:
        cost = UNKNOWN_PRICE
    else:
        usual = f"about {dollars(expected.expected_cost_usd)}, " if expected.expected_cost_usd is not None else ""
        cost = f"{usual}at most {dollars(expected.max_cost_usd)}"
    return f"{count(expected.images, 'image')} to describe{by}: {cost} ({count(expected.max_calls, 'call')} at most)"


def description_lines(report: "IndexReport") -> list[str]:
    """The descriptions of a run as text."""
    expected = report.descriptions_expected
    if not report.describer or expected is None:
        return []
    if report.dry_run:
        return entry("describe", estimate_text(expected, report.describer), at=11)
    low = f", {report.low_confidence:,} with low confidence" if report.low_confidence else ""
    cost = f"{count(report.description_calls, 'call')}, {dollars(report.description_cost_usd)}"
    by = f"{count(report.described, 'image')} by {clean(report.describer)}{low} ({cost})"
    lines = entry("described", by, at=11)
    if report.descriptions_stopped:
        lines += entry("", f"{count(report.descriptions_left, 'image')} left: {_reason(report)}", at=11)
        lines += entry("", "the same command goes on, and pays for none of the others again", at=11)
    return lines


def _reason(report: "IndexReport") -> str:
    return clean(as_commands(report.descriptions_stopped))
