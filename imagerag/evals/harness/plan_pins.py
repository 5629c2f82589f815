"""Pins for the library snapshots that an evaluation names: the hashes of their content."""

from imagerag.evals.harness.plan import Plan
from imagerag.graphs.dependencies import Dependencies
from imagerag.graphs.snapshot_pins import check_hashes, snapshot_hashes


async def pinned(plan: Plan, dependencies: Dependencies) -> Plan:
    """The plan with the hashes of the snapshots that it, its arms and the parts of libraries in its suite name.

    Raises:
        UnknownLibraryError: there is no such snapshot.
        UsageError: the content of one differs from the hash in the plan.
    """
    hashes: dict[str, str] = {}
    wholes = [recipe.of for recipe in plan.suite.libraries.values() if recipe.of]
    for name in dict.fromkeys([plan.setup.library, *(arm.setup.get("library") for arm in plan.arms), *wholes]):
        hashes |= await snapshot_hashes(dependencies, name)
    check_hashes(hashes, plan.setup.snapshots, "the evaluation was made", "Give another `out`, and run it anew")
    return plan.model_copy(update={"setup": plan.setup.model_copy(update={"snapshots": hashes})}) if hashes else plan
