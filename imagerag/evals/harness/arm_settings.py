"""Settings of the arms: backends, library and config of each, by the names of the options."""

from collections.abc import Mapping
from typing import Any, Final

from imagerag.evals.harness.arms import Arm
from imagerag.evals.harness.plan import Plan

GIVES_BACK: Final = {
    "keep": "the first image",
    "rephrase": "what other words drew",
    "graph": "the best attempt",
    "paper": "the redrawing, not looked at",
}
"""Procedure → the image that it returns."""


def settings_of(plan: Plan, arm: Arm) -> dict[str, Any]:
    """The settings of an arm's results; None where an arm does not use one."""
    setup = arm.of(plan.setup, seed=plan.setup.config.seed, cache="record")
    searching = arm.procedure not in ("keep", "rephrase")
    asking = arm.procedure != "keep" and not (
        arm.procedure == "rephrase" and all(case.rephrased for case in plan.suite.cases)
    )
    config, recipe = setup.config, plan.suite.libraries.get(setup.library or "")
    return {
        "generator": setup.generator,
        "judge": setup.judge if asking else None,
        "library": setup.library if searching else None,
        "library_size": recipe.size if recipe and searching else None,
        "reranker": setup.reranker if searching else None,
        "retrieve_by": config.retrieve_by if searching else None,
        "threshold": config.threshold if searching else None,
        "max_rounds": config.max_rounds if searching else None,
        "judge_mode": config.judge_mode if searching else None,
        "max_references": config.max_references if searching else None,
        "subjects": arm.subjects,
        "gives_back": GIVES_BACK.get(arm.procedure, f"what {arm.procedure} gives"),
    }


def describe_settings(settings: Mapping[str, Any]) -> str:
    """Describe the settings of an arm on one line, for a note below a table."""
    if settings["retrieve_by"] is None:
        return str(settings["gives_back"])
    rounds = f"{settings['max_rounds']} round{'s' if settings['max_rounds'] != 1 else ''}"
    parts = [f"by {settings['retrieve_by']}", f"threshold {settings['threshold']}", settings["judge_mode"], rounds]
    return ", ".join([*parts, f"gives back {settings['gives_back']}"])
