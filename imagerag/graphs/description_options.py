"""What describes the images of a library in one run of `index`: named by the caller, or noted in the library."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from imagerag.agent.errors import UntrustedError, UsageError
from imagerag.agent.ports import Describer
from imagerag.agent.url_redaction import public
from imagerag.graphs.configuration.trust_policy import check_describer, is_plain
from imagerag.graphs.descriptions import JournalledDescriber
from imagerag.store.library.library_metadata import DescriberSettings
from imagerag.store.trust_store import note_named
from imagerag.tools.automatic import AUTO, choose

if TYPE_CHECKING:
    from imagerag.graphs.dependencies import Dependencies
    from imagerag.store.library.library import Library

NOTHING: Final = "none"
"""As `describe`: no further image is described, and the library forgets its describer."""


@dataclass(frozen=True, kw_only=True)
class DescribeOptions:
    """Options of `index` for descriptions.

    Attributes:
        describe: a spec, "auto", a describer, or "none"; None is what the library notes.
        max_calls, max_cost_usd, assume_cost_usd_per_call: budget of this run; None is what the library notes with its
            describer.

    Raises:
        UsageError: an invalid budget, or one for no descriptions.
        SpecError: "auto", and there is no describer.
    """

    describe: str | Describer | None = None
    max_calls: int | None = None
    max_cost_usd: float | None = None
    assume_cost_usd_per_call: float | None = None

    def __post_init__(self) -> None:
        if self.max_calls is not None and self.max_calls < 1:
            raise UsageError(f"`max_calls={self.max_calls}`: at least 1")
        for name in ("max_cost_usd", "assume_cost_usd_per_call"):
            usd = getattr(self, name)
            if usd is not None and not 0 <= usd < float("inf"):
                raise UsageError(f"`{name}={usd:g}`: US dollars, not below 0")
        if self.describe == NOTHING:
            self._refuse_budget("`describe=none` ends them")
        if isinstance(self.describe, str) and self.describe.lower() == AUTO:
            object.__setattr__(self, "describe", choose("describer").spec)

    @property
    def budget(self) -> dict[str, Any]:
        """The limits that are given."""
        limits = {
            "max_calls": self.max_calls,
            "max_cost_usd": self.max_cost_usd,
            "assume_cost_usd_per_call": self.assume_cost_usd_per_call,
        }
        return {name: value for name, value in limits.items() if value is not None}

    def _refuse_budget(self, why: str) -> None:
        if self.budget:
            raise UsageError(f"`{next(iter(self.budget))}` is a limit of descriptions by a model: {why}")

    def check(self, dependencies: "Dependencies") -> None:
        """Make the describer before anything is indexed.

        Raises:
            SpecError: there is none of that spec.
        """
        if isinstance(self.describe, str) and self.describe != NOTHING:
            spec = public(self.describe)
            dependencies.name(spec)
            dependencies.describer(spec)

    async def calls(
        self, dependencies: "Dependencies", library: "Library", *, dry_run: bool = False
    ) -> tuple[JournalledDescriber | None, str]:
        """The calls that describe images of a library in this run, and a warning; None where none are made.

        A spec is noted in the library with its budget, so that later runs go on without being told.

        Raises:
            UsageError: a budget, and no describer.
        """
        if self.describe == NOTHING:
            if not dry_run:
                await library.set_describer(None)
            return None, ""
        if self.describe is not None and not isinstance(self.describe, str):
            settings = DescriberSettings(spec=self.describe.identity, **self.budget)
            return _journalled(dependencies, self.describe, settings), ""
        noted = library.metadata.describer
        if self.describe is not None:
            settings = DescriberSettings(spec=self.describe, **self.budget)
            if not dry_run:
                await library.set_describer(settings)
                if not is_plain(settings.spec, services=False):
                    note_named(settings.spec)
        elif noted is None:
            self._refuse_budget(f"no model describes the images of library {library.name!r}; `describe=SPEC` names one")
            return None, ""
        else:
            settings = noted.model_copy(update=self.budget)
            try:
                check_describer(library.name, settings.spec, dependencies.user_named_specs)
            except UntrustedError as error:
                return None, str(error)
        return _journalled(dependencies, dependencies.describer(settings.spec), settings), ""


def _journalled(dependencies: "Dependencies", describer: Describer, settings: DescriberSettings) -> JournalledDescriber:
    return JournalledDescriber(describer=describer, settings=settings, journal=dependencies.answers)
