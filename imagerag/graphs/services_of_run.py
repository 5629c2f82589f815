"""Services that a run's library may ask, for what is said before the run."""

from collections.abc import Sequence

from imagerag.agent.ports import WebLibrary, web_libraries_of
from imagerag.agent.retrieval.search_queries import WEB, names_of
from imagerag.agent.types import RunSpec
from imagerag.graphs.dependencies import Dependencies
from imagerag.graphs.start_node import check_search


async def services_of(setup: RunSpec, dependencies: Dependencies) -> Sequence[WebLibrary]:
    """The services that a run's library asks. Only libraries that come with one are opened.

    Raises:
        UsageError: the run could not search them.
    """
    if setup.library is None or not any(name.startswith(WEB) for name in names_of(setup.library)):
        return ()
    library = await dependencies.library(setup.library)
    await check_search(library, setup.config)
    return web_libraries_of(library)
