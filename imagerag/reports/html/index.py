"""One page over many runs: what each was asked for, what it gave, how it ended, and the way to its report."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from imagerag.agent.run_record import RunRecord
from imagerag.formatting.labels import standing
from imagerag.formatting.numbers import counted, dollars, percent
from imagerag.reports.html.markup import Child, Html, join, tag
from imagerag.reports.html.page import document
from imagerag.store.run_index import RunEntry


@dataclass(frozen=True)
class IndexRow:
    """One run of the index.

    Attributes:
        record: None when nothing of the run was kept.
        href: the file of its report, beside the index.
        picture: its result as a data URI.
    """

    entry: RunEntry
    record: RunRecord | None = None
    href: str | None = None
    picture: str | None = None


def index(lines: Sequence[IndexRow]) -> str:
    """The page."""
    counts = Counter(_standing(line.entry) for line in lines)
    tally = [tag("span", f"{number} {word}", class_=f"badge {tone}") for (word, tone), number in counts.most_common()]
    costs = [line.entry.cost_usd for line in lines if line.entry.cost_usd is not None]
    total = f" · {dollars(sum(costs))}" if costs and sum(costs) else ""
    body = (
        tag(
            "header",
            tag("p", tag("b", "imagerag"), " reports", class_="brand"),
            tag("h1", counted(len(lines), "run") + total),
            tag("div", tally, class_="tally"),
            class_="top",
        ),
        tag("section", tag("div", [_card(line) for line in lines], class_="runs")),
    )
    return document("runs · imagerag", join(*body))


def _standing(entry: RunEntry) -> tuple[str, str]:
    stands = standing(entry.status, entry.outcome)
    return stands.name, stands.tone


def _card(line: IndexRow) -> Html:
    entry = line.entry
    word, tone = _standing(entry)
    picture: Child = tag("span", tag("span", "no picture"), class_="gone")
    if line.picture:
        picture = tag("img", src=line.picture, alt="", loading="lazy", decoding="async")
    facts = [entry.created.strftime("%Y-%m-%d %H:%M"), entry.library or ""]
    facts += [f"{percent(entry.score)} met" if entry.score is not None else ""]
    facts += [dollars(entry.cost_usd) if entry.cost_usd is not None else ""]
    inside = (
        tag("figure", picture, class_="picture"),
        tag("h3", entry.prompt),
        tag("p", tag("span", word, class_=f"badge {tone}")),
        tag("p", " · ".join(filter(None, facts)), class_="mute"),
    )
    return tag("article", tag("a", inside, href=line.href) if line.href else inside)
