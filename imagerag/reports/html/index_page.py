"""One page over many runs: what each was asked for, what it gave, how it ended, and the way to its report."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from imagerag.agent.run_record import RunRecord
from imagerag.formatting.html.templating import render
from imagerag.formatting.labels import Label, standing
from imagerag.formatting.numbers import dollars, percent
from imagerag.reports.html.run_page import TEMPLATES
from imagerag.store.run_index import RunEntry


@dataclass(frozen=True)
class IndexRow:
    """One run of the index.

    Attributes:
        record: None when nothing of the run was kept.
        href: the file of its report, beside the index.
        image: its result as a data URI.
    """

    entry: RunEntry
    record: RunRecord | None = None
    href: str | None = None
    image: str | None = None

    @property
    def standing(self) -> Label:
        """The label of the run's outcome or status."""
        return standing(self.entry.status, self.entry.outcome)

    @property
    def facts(self) -> str:
        """The time, library, score and cost of a run."""
        entry = self.entry
        facts = [entry.created.strftime("%Y-%m-%d %H:%M"), entry.library or ""]
        facts += [f"{percent(entry.score)} met" if entry.score is not None else ""]
        facts += [dollars(entry.cost_usd) if entry.cost_usd is not None else ""]
        return " · ".join(filter(None, facts))


def index(lines: Sequence[IndexRow]) -> str:
    """The page."""
    counts = Counter((line.standing.name, line.standing.tone) for line in lines)
    costs = sum(line.entry.cost_usd or 0.0 for line in lines)
    return render(TEMPLATES, "index.html", lines=lines, tally=counts.most_common(), cost=costs)
