"""Recorded checks of the images that a judge takes."""

from imagerag.agent.judge_image_check import ChecksImages, recall
from imagerag.agent.ports import capabilities_of
from imagerag.graphs.dependencies import Dependencies


async def recall_images(dependencies: Dependencies, judge: object, count: int) -> None:
    """Tell a judge what runs of this home found out."""
    if isinstance(judge, ChecksImages) and dependencies.home.store.exists():
        async with dependencies.journal() as journal:
            await recall(judge, journal, count)


async def takes_images(dependencies: Dependencies, judge: object) -> bool | None:
    """Whether a judge takes images; None where nobody knows. One of this process takes them."""
    if not isinstance(judge, ChecksImages):
        return True
    await recall_images(dependencies, judge, 1)
    if not judge.image_check_needed(1):
        return True
    capabilities = capabilities_of(judge)
    return (
        False if capabilities.max_images == 0 and not capabilities.members else None
    )  # of several another may take them
