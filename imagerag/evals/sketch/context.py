"""The context of a section's checks: dependencies, number of cases, stored checks, and progress."""

from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field

from imagerag.agent.errors import BudgetExceededError
from imagerag.agent.ports import Embedder, Judge
from imagerag.agent.types import RunSpec
from imagerag.evals.dependencies import EvalDependencies
from imagerag.evals.suites.case import Checks
from imagerag.store.library.database import list_libraries, remove
from imagerag.store.library.library import Library

Progress = Callable[[int, int, str], None]
"""Called with steps done, steps in all, and the section."""


@dataclass
class CheckContext:
    """One section in progress.

    Attributes:
        dependencies: makes backends and libraries as in the product; its home is the evaluation's own folder.
        checks: sections and number of cases.
        setup: the backends, and the config of the loop.
        done: ids of stored checks, which are not made again.
        stop_reason: returns the reason why the budget is spent; empty while it is not.
        progress: called after every step.
    """

    dependencies: EvalDependencies
    checks: Checks
    setup: RunSpec
    done: Container[str] = ()
    stop_reason: Callable[[], str] = lambda: ""
    progress: Progress = lambda count, total, section: None
    _section: str = field(default="", init=False)
    _steps: int = field(default=0, init=False)
    _total: int = field(default=0, init=False)

    @property
    def cases(self) -> int:
        """Generated cases of each kind."""
        return self.checks.cases

    @property
    def seed(self) -> int:
        """The seed of all cases."""
        return self.checks.seed

    @property
    def embedder(self) -> Embedder:
        """The encoder under test."""
        return self.dependencies.embedder(self.checks.embedder)

    @property
    def judge(self) -> Judge:
        """The judge under test."""
        return self.dependencies.judge(self.setup.judge)

    async def new_library(self, name: str) -> Library:
        """Make an empty library with the encoder under test, as runs use it; a library of an earlier try is removed."""
        self.remove_library(name)
        library = await Library.create_or_open(self.dependencies.home, name, self.embedder)
        self.dependencies.use("library", name, library)
        return library

    def remove_library(self, name: str) -> None:
        """Remove a library of the checks, if it exists: large ones are not kept."""
        if name in list_libraries(self.dependencies.home):
            remove(self.dependencies.home, name)

    def wants(self, id: str) -> bool:
        """Whether a case must still be checked.

        Raises:
            BudgetExceededError: it must, and the budget is spent.
        """
        if id in self.done:
            return False
        if reason := self.stop_reason():
            raise BudgetExceededError(reason)
        return True

    def wants_any(self, ids: Iterable[str]) -> bool:
        """Whether any of these cases must still be checked; called before costly work that they share.

        Raises:
            BudgetExceededError: one must, and the budget is spent.
        """
        return any(map(self.wants, ids))

    def begin(self, section: str, total: int) -> None:
        """Begin a section with a number of steps."""
        self._section, self._steps, self._total = section, 0, total
        self.progress(0, total, section)

    def step(self, steps: int = 1) -> None:
        """Count a number of steps as done."""
        self._steps += steps
        self.progress(self._steps, self._total, self._section)
