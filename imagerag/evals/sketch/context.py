"""What every part of a suite works with: the product's own parts, how many cases, and whom to tell how far it is."""

from collections.abc import Callable
from dataclasses import dataclass, field

from imagerag.agent.ports import Embedder, Judge
from imagerag.agent.types import RunSpec
from imagerag.graphs.dependencies import Dependencies
from imagerag.store.library.library import Library

Progress = Callable[[str, int, int], None]
"""Called with a part's name, and how many of how many of its steps are done."""


def silent(part: str, done: int, total: int) -> None:
    """Tell nobody."""


@dataclass
class SketchContext:
    """One evaluation under way.

    Attributes:
        wiring: makes the parts as the product does; its home should be an empty one.
        cases: generated cases of each kind.
        seed: decides every case.
        sizes: how many pictures the libraries of the threshold part hold.
        setup: the backends; its knobs are what the loop runs with.
        embedder_spec: what encodes.
        progress: told after every step.
    """

    wiring: Dependencies
    cases: int
    seed: int
    sizes: tuple[int, ...]
    setup: RunSpec
    embedder_spec: str
    progress: Progress = silent
    _part: str = field(default="", init=False)
    _done: int = field(default=0, init=False)
    _total: int = field(default=0, init=False)

    @property
    def embedder(self) -> Embedder:
        """The encoder under test."""
        return self.wiring.embedder(self.embedder_spec)

    @property
    def judge(self) -> Judge:
        """The judge under test."""
        return self.wiring.judge(self.setup.judge)

    async def new_library(self, name: str) -> Library:
        """An empty library with the encoder under test."""
        return await Library.create_or_open(self.wiring.home, name, self.embedder)

    def begin(self, part: str, total: int) -> None:
        """A part of so many steps begins."""
        self._part, self._done, self._total = part, 0, total
        self.progress(part, 0, total)

    def tell(self, steps: int = 1) -> None:
        """So many more steps are done."""
        self._done += steps
        self.progress(self._part, self._done, self._total)
