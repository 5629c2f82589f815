"""Settings and lazily made dependencies that the parts of `ImageRAG` share."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from imagerag.graphs.configuration.settings import Settings

if TYPE_CHECKING:
    from imagerag.graphs.dependencies import Dependencies
    from imagerag.graphs.runs.qa_runner import QARunner
    from imagerag.graphs.runs.runner import Runner
    from imagerag.store.data_dir import DataDir


@dataclass(frozen=True)
class ClientContext:
    """Settings, and what is made from them when it is first used: the graph and the models load slowly.

    Attributes:
        base: another client's context, whose dependencies are shared.
    """

    settings: Settings
    base: "ClientContext | None" = None

    @cached_property
    def home(self) -> "DataDir":
        """The data directory, found without what loads the graph."""
        from imagerag.store.data_dir import DataDir

        return DataDir.find(self.settings.home)

    @cached_property
    def dependencies(self) -> "Dependencies":
        """Backends, libraries, images and the list of runs, shared by all runs of this client."""
        from imagerag.graphs.dependencies import Dependencies

        dependencies = self.base.dependencies if self.base else Dependencies(self.home)
        dependencies.name(*self.settings.specs)
        return dependencies

    @cached_property
    def runner(self) -> "Runner":
        """Runner of the generation graph."""
        from imagerag.graphs.runs.runner import Runner

        return Runner(dependencies=self.dependencies)

    @cached_property
    def qa_runner(self) -> "QARunner":
        """Runner of the question-answering graph."""
        from imagerag.graphs.runs.qa_runner import QARunner

        return QARunner(dependencies=self.dependencies)


async def whole_id(context: ClientContext, run: str) -> str:
    """The id of a run.

    Args:
        run: the id, or the start of it.

    Raises:
        UnknownRunError: no such run.
    """
    return (await context.dependencies.runs.get(run)).run_id
