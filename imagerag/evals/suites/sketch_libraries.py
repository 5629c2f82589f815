"""The libraries of a suite, drawn from their recipes: the same on every machine."""

from random import Random

from imagerag.agent.errors import UnknownLibraryError
from imagerag.agent.ports import Embedder
from imagerag.evals.suites.case import LibraryRecipe
from imagerag.evals.suites.sketch import rare
from imagerag.evals.synthetic_images import SyntheticImage, chance, fill
from imagerag.store.data_dir import DataDir
from imagerag.store.library.database import remove
from imagerag.store.library.library import Library
from imagerag.tools.sketch.world import Thing, all_things, random_scene

SIDE = 256


async def build_library(home: DataDir, name: str, recipe: LibraryRecipe, embedder: Embedder) -> Library:
    """Open the library of a recipe if it is complete; else build it (again, if an earlier try was stopped)."""
    try:
        existing = await Library.open(home, name, embedder)
        if await existing.count() == recipe.size and existing.metadata.threshold is not None:
            return existing
        remove(home, name)
    except UnknownLibraryError:
        pass
    library = await Library.create_or_open(home, name, embedder)
    await fill(library, (SyntheticImage.of(random_scene(rng, (thing,)), SIDE) for thing, rng in render_image(recipe)))
    return library


def render_image(recipe: LibraryRecipe) -> list[tuple[Thing, Random]]:
    """The scene of each image of a library, with its own random generator.

    A smaller library of a kind has the first images of a larger one.
    """
    things = [thing for thing in all_things() if rare(thing) is (recipe.kind == "rare")]
    chance(recipe.seed, "stock", recipe.kind).shuffle(things)
    rounds = [things[at % len(things)] for at in range(recipe.size)]
    return [(thing, chance(recipe.seed, "stock", recipe.kind, at)) for at, thing in enumerate(rounds)]
