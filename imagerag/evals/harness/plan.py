"""The plan of an evaluation, stored beside its results: a resumed evaluation must have the same."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field

from imagerag.agent.errors import UsageError
from imagerag.agent.regular_files import read_regular_text
from imagerag.agent.types import FrozenModel, RunSpec
from imagerag.agent.url_redaction import Spec
from imagerag.evals.harness.arms import PROCEDURES, Arm
from imagerag.evals.suites.case import Case, Suite
from imagerag.store.images.blob_store import write_atomically

FILE = "plan.json"


class Shard(FrozenModel):
    """This process's part of the cases: every `of`-th from the `number`-th on (1 to `of`)."""

    number: int = Field(default=1, ge=1)
    of: int = Field(default=1, ge=1)

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Parse `i/n`.

        Raises:
            UsageError: the text has another form.
        """
        number, _, of = text.partition("/")
        if number.isdigit() and of.isdigit() and 1 <= int(number) <= int(of):
            return cls(number=int(number), of=int(of))
        raise UsageError(f"`shard={text}`: write i/n with i from 1 to n, for instance 1/3")

    def has(self, at: int) -> bool:
        """Whether the case at this index (from 0) belongs to the shard."""
        return at % self.of == self.number - 1


class Plan(FrozenModel):
    """Everything that decides the results.

    Attributes:
        setup: generator, judge, library and config that arms have unless they say otherwise.
        metrics: what is measured, by spec.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_name: Literal["imagerag.eval-plan/1"] = Field(default="imagerag.eval-plan/1", alias="schema")
    suite: Suite
    arms: tuple[Arm, ...]
    setup: RunSpec
    metrics: tuple[Spec, ...] = ()
    shard: Shard = Shard()

    @property
    def mine(self) -> list[Case]:
        """The cases of this shard, in the suite's order."""
        return [case for at, case in enumerate(self.suite.cases) if self.shard.has(at)]

    @property
    def keys(self) -> list[tuple[str, int, str]]:
        """(case, seed, arm) of every result of this shard, in the order in which they are written."""
        return [(case.id, seed, arm.name) for case in self.mine for seed in case.seeds for arm in self.arms]

    @property
    def identity(self) -> Mapping[str, Any]:
        """The plan without the shard: equal for all shards of one evaluation."""
        return {
            "suite": self.suite.identity,
            "arms": {arm.name: arm.hash(self.setup) for arm in self.arms},
            "metrics": list(self.metrics),
        }

    @property
    def user_chosen_specs(self) -> list[str]:
        """The specs that only the user may choose: custom code, and backends at an address, a path or a hub."""
        from imagerag.graphs.configuration.trust_policy import may_name

        code = [f"arm:{arm.procedure}" for arm in self.arms if arm.procedure not in PROCEDURES]
        own = {role: spec for role in ("generator", "judge", "library") if (spec := getattr(self.setup, role))}
        specs = [pair for setup in (*(arm.setup for arm in self.arms), own) for pair in setup.items()]
        return code + list(dict.fromkeys(spec for role, spec in specs if not may_name(role, spec)))

    def keep(self, folder: Path) -> None:
        """Write the plan, or check that the stored one is equal.

        Raises:
            UsageError: the folder holds another evaluation.
        """
        file = folder / FILE
        if not file.exists():
            text = json.dumps(self.model_dump(mode="json", by_alias=True), ensure_ascii=False, indent=1)
            write_atomically(file, text.encode())
            return
        there = Plan.read(folder)
        differs = [key for key, value in self.identity.items() if there.identity[key] != value]
        differs += ["shard"] if there.shard != self.shard else []
        if retaken := _retaken(there.setup.snapshots, self.setup.snapshots):
            differs = differs or ["libraries"]  # no arm names the snapshot that a library is a part of
        if differs:
            verb = "differs" if differs in (["suite"], ["shard"]) else "differ"
            names = ", ".join(differs[:-1]) + (" and " if differs[1:] else "") + differs[-1]
            raise UsageError(
                f"{folder} holds another evaluation: its {names} {verb}{retaken}. Give another `out`, or run the "
                "same one to go on with it"
            )

    @classmethod
    def read(cls, folder: Path) -> "Plan":
        """Read the plan of a folder.

        Raises:
            UsageError: the folder has no plan.
        """
        try:
            return cls.model_validate_json(read_regular_text(folder / FILE))
        except OSError as error:
            raise UsageError(f"{folder} holds no evaluation: there is no {FILE} in it") from error
        except ValueError as error:
            raise UsageError(f"{folder / FILE} is no evaluation's plan: {error}") from error


def _retaken(noted: Mapping[str, str], current: Mapping[str, str]) -> str:
    """A note on the snapshots whose content differs from the plan's hashes; empty where none does."""
    names = [repr(name) for name, content in current.items() if noted.get(name, content) != content]
    return f" ({', '.join(names)} was removed, and another snapshot took its tag)" if names else ""
