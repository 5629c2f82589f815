"""Arms: the variants of the workflow that an evaluation compares, all from the same initial image of a case.

An arm is written `NAME`, or with changes `NAME+KEY=VALUE+KEY=VALUE`; keys are `generator`, `judge`, `library`,
`reranker`, `subjects` (on or off), and every option of a run (`RunConfig`). `module:function` is a custom arm. A TOML
file names further ones:

```toml
[arms.strict]
from = "full"
threshold = 0.4
max_rounds = 1

[arms.mine]
run = "my_package.arms:my_arm"
```
"""

import hashlib
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, ValidationError

from imagerag.agent.errors import UsageError
from imagerag.agent.regular_files import read_regular, read_regular_text
from imagerag.agent.retrieval.search_queries import names_of
from imagerag.agent.types import FrozenModel, RunConfig, RunSpec
from imagerag.agent.url_redaction import public, public_values
from imagerag.formatting.messages import invalid, unknown
from imagerag.tools.automatic import expanded

Procedure = str
"""`keep`, `rephrase`, `graph`, `paper`, or `module:function`."""

PROCEDURES: Final = frozenset({"keep", "rephrase", "graph", "paper"})
"""The procedures of the package."""

SETUP_KEYS: Final = ("generator", "judge", "library", "reranker")
RESERVED: Final = ("cache", "select", "deadline_at", "seed")
"""Config fields that the evaluation itself sets."""


class Arm(FrozenModel):
    """One variant of the workflow.

    Attributes:
        name: how results and tables call it.
        procedure: keep the initial image; redraw from other words and no references; run the graph; answer as the
            paper does; or one's own.
        setup: generator, judge, library, reranker, where they are other than the evaluation's.
        config: values of the run's config.
        subjects: whether it gets the case's own images.
        own_start: whether it draws its own first image instead of starting from the case's.
    """

    name: str
    procedure: Procedure = "graph"
    setup: Annotated[Mapping[str, str], AfterValidator(public_values)] = Field(default_factory=dict)
    config: Mapping[str, Any] = Field(default_factory=dict)
    subjects: bool = True
    own_start: bool = False

    def of(self, base: RunSpec, *, seed: int, cache: Literal["record", "reuse", "replay"]) -> RunSpec:
        """The setup of one run.

        Raises:
            UsageError: an option that does not exist, or a value it cannot have.
        """
        config = {**base.config.model_dump(), **self.config, "seed": seed, "cache": cache}
        try:
            setup = RunSpec(**{**base.model_dump(), **self.setup, "config": RunConfig(**config)})
        except ValidationError as error:
            raise UsageError(f"arm {self.name!r}: {invalid(error, most=1)}") from error
        libraries = names_of(setup.library) if setup.library else ()
        return setup.model_copy(update={"snapshots": {n: one for n, one in setup.snapshots.items() if n in libraries}})

    def hash(self, base: RunSpec) -> str:
        """SHA-256 of everything that decides its results, without the name."""
        setup = self.of(base, seed=0, cache="record").model_dump(mode="json")
        del setup["config"]["assume_cost_usd_per_call"]  # it only limits what may be requested and changes no response
        if not setup["snapshots"]:  # the hash from before the field existed
            del setup["snapshots"]
        content = [self.procedure, setup, self.subjects, self.own_start]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


AS_PUBLISHED: Final = {"max_rounds": 1, "threshold": "off", "judge_mode": "stepwise", "references_per_concept": 1}
FIXED: Final = frozenset({"max_rounds", "judge_mode", "start", "select", "retrieve_by", "references_per_concept"})
"""Config fields that the arm `paper` fixes."""

BUILT_IN: Final[Mapping[str, tuple[Arm, str]]] = {
    "base": (Arm(name="base", procedure="keep"), "the initial image as it is"),
    "rephrase": (
        Arm(name="rephrase", procedure="rephrase"),
        "redrawn once from other words, without references and without a look; a clear prompt stays",
    ),
    "prompt": (Arm(name="prompt", config={"retrieve_by": "prompt"}), "references for the prompt"),
    "concept": (
        Arm(name="concept", config={"retrieve_by": "concept"}),
        "references for the missing concepts' own words",
    ),
    "full": (Arm(name="full"), "references for a caption of each missing concept: the whole method"),
    "one-round": (Arm(name="one-round", config={"max_rounds": 1}), "the whole method, redrawn once"),
    "paper": (
        Arm(name="paper", procedure="paper", config=AS_PUBLISHED),
        "as published: three questions at temperature 0, no threshold, one redrawing, which is the answer",
    ),
    "no-threshold": (Arm(name="no-threshold", config={"threshold": "off"}), "the whole method, any similarity passes"),
    "first": (
        Arm(name="first", config={"start": "retrieve"}, own_start=True),
        "references for the prompt before anything is drawn; the only arm with a first image of its own",
    ),
    "no-subjects": (Arm(name="no-subjects", subjects=False), "the whole method, without the case's own images"),
}
"""Name → arm, and what it does in a few words."""


def parse_arms(text: str | Iterable[str], file: str | Path | None = None) -> tuple[Arm, ...]:
    """Parse a list of arms.

    Args:
        text: names with commas between them, or a sequence of names.
        file: a TOML file with further arms.

    Raises:
        UsageError: an unknown arm or key, or two arms of the same name.
    """
    text = public(text) if isinstance(text, str) else [public(one) for one in text]
    available = {name: arm for name, (arm, _) in BUILT_IN.items()} | (_from_file(Path(file)) if file else {})
    names = _split(text) if isinstance(text, str) else list(text)
    arms = tuple(_one(name.strip(), available) for name in names if name.strip())
    if not arms:
        raise UsageError(f"name at least one arm; there are: {', '.join(available)}")
    repeated = {arm.name for arm in arms if sum(other.name == arm.name for other in arms) > 1}
    if repeated:
        raise UsageError(f"arms named twice: {', '.join(sorted(repeated))}")
    return arms


def _split(text: str) -> list[str]:
    """Split at commas; a comma inside a value (a fallback chain of backends) is written twice."""
    return [part.replace("\0", ",") for part in text.replace(",,", "\0").split(",")]


def _one(text: str, available: Mapping[str, Arm]) -> Arm:
    name, *changes = re.split(r"\+(?=[a-z_]+=)", text)
    if name in available:
        arm = available[name]
    elif re.fullmatch(r"[\w.]+:[\w.]+", name):
        arm = Arm(name=name, procedure=name)
    else:
        raise UsageError(unknown("arm", name, available, more="one of your own is module:function"))
    pairs = [change.partition("=") for change in changes]
    return _changed_arm(arm, {key: _value(value) for key, _, value in pairs}, text)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _changed_arm(arm: Arm, changes: Mapping[str, Any], name: str) -> Arm:
    config = {**arm.config}
    setup = {**arm.setup}
    subjects = arm.subjects
    for key, value in changes.items():
        if key in SETUP_KEYS:
            setup[key] = expanded("judge", public(str(value))) if key == "judge" else public(str(value))
        elif key == "subjects" and value in ("on", "off", True, False):
            subjects = value in ("on", True)
        elif arm.procedure == "paper" and key in FIXED:
            raise UsageError(f"arm {name!r}: the paper leaves no choice of {key}; full+{key}={value} has it")
        elif key in RunConfig.model_fields and key not in RESERVED:
            config[key] = value
        else:
            there = [*SETUP_KEYS, "subjects", *(field for field in RunConfig.model_fields if field not in RESERVED)]
            raise UsageError(unknown("option", key, there, where=f"arm {name!r}"))
    return arm.model_copy(update={"name": name, "config": config, "setup": setup, "subjects": subjects})


def _from_file(file: Path) -> dict[str, Arm]:
    try:
        tables = tomllib.loads(read_regular_text(file.expanduser())).get("arms", {})
    except OSError as error:
        raise UsageError(f"cannot read the arms in {file}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} is not TOML: {error}") from error
    arms = {name: arm for name, (arm, _) in BUILT_IN.items()}
    for name, table in tables.items():
        changes = {key: value for key, value in table.items() if key not in ("from", "run")}
        start = Arm(name=name, procedure=table["run"]) if "run" in table else arms.get(table.get("from", "full"))
        if start is None:
            raise UsageError(f"{file}: arm {name!r} is from {table['from']!r}, which is not above it")
        arms[name] = _changed_arm(start, changes, name)
    return arms


def check_arms_file(arms: Iterable[Arm], file: str | Path) -> None:
    """Check that an untrusted file of arms names no code and no backend that only the user may name.

    Raises:
        UntrustedError: it names one and the user has not trusted the file; the message says what to type.
    """
    from imagerag.graphs.configuration.trust_policy import check_file, may_name

    path = Path(file).expanduser()
    from_file = _from_file(path)
    content = read_regular(path)
    for arm in (arm for arm in arms if arm.name.partition("+")[0] in from_file):
        if arm.procedure not in PROCEDURES:
            check_file(path, content, f"names code to be run for arm {arm.name!r}")
        if not all(may_name(role, spec) for role, spec in arm.setup.items()):
            check_file(path, content, f"names a backend for arm {arm.name!r} that only you may name")
