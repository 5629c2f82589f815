"""The pages on services and on judges have the tables of the code."""

import pytest

from imagerag.tools.automatic import ORDER, OWN_MODELS
from imagerag.tools.judges.recipes import RECIPES, judge_recipes
from imagerag.tools.registry import has_provider
from imagerag.tools.services.table import SERVICES
from imagerag.tools.spec import BackendSpec
from tests.docs.generated import check, code, table


def services() -> str:
    head = ("provider", "service", "address", "key", "roles", "never sent")
    rows = [
        (
            f"`{one.name}:`",
            f"[{one.title}]({one.source})",
            code(filter(None, [one.address])) or f"the one in `{one.address_variable}`",
            code(one.keys) + ("" if one.key_required or not one.keys else ", if it wants one") or "none",
            ", ".join(sorted(one.roles)),
            code(sorted(one.refuses)),
        )
        for one in SERVICES.values()
    ]
    return table(head, rows)


def automatic() -> str:
    rows = []
    for name in ORDER:
        service = SERVICES.get(name)
        model, keys = (service.judge, service.keys) if service else OWN_MODELS[name]
        local = service is not None and not service.key_required
        when = "its server answers" if local else f"{' or '.join(f'`{key}`' for key in keys)} is set"
        rows.append((str(len(rows) + 1), f"`{name}:`", when, "its first that sees images" if local else f"`{model}`"))
    return table(("", "provider", "taken when", "model"), rows)


def recipes(trained: bool) -> str:
    """What there is to know of each model, then the server's command and the judge's spec."""
    found = [one for one in RECIPES if one.trained is trained]
    rows = [(one.name, one.size, one.licence or "see its page", one.note) for one in found]
    lines = [
        f"$ {one.command(server)}\n$ imagerag eval judge --judge {one.spec(server)}"
        for one in found
        for server in one.names
    ]
    block = "\n\n".join(lines)
    head = table(("model", "size", "licence", "note"), rows)
    return f"{head}\n\n<!-- skip: needs a server -->\n```console\n{block}\n```"


def test_generated_tables_of_services_and_judges_are_what_the_code_says() -> None:
    check("how-to/services.md", services=services(), automatic=automatic())
    check("how-to/judges.md", recipes=recipes(False), trained=recipes(True))


@pytest.mark.parametrize("spec", [spec for spec, _ in judge_recipes()])
def test_every_recipe_is_a_judge(spec: str) -> None:
    parsed = BackendSpec.parse(spec)
    assert str(parsed) == spec
    assert has_provider("judge", parsed.provider)
