"""constraints.txt pins everything that is resolved, so that what was tested is what gets installed next year.

The ranges of pyproject.toml begin with versions that were tested, too, and have room for the pins.
"""

import re
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PINS = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]


def pinned() -> dict[str, str]:
    """Name to version of every pin that holds for this Python and platform."""
    found = {}
    for line in PINS:
        pin, _, marker = line.partition(" ; ")
        if not marker or Marker(marker).evaluate():
            name, version = pin.split("==")
            found[canonicalize_name(name)] = version
    return found


def asked_for() -> list[Requirement]:
    """What pyproject.toml asks for by name: dependencies, every extra, the development group."""
    project = PROJECT["project"]
    extras = [one for names in project["optional-dependencies"].values() for one in names]
    return [Requirement(one) for one in (*project["dependencies"], *extras, *PROJECT["dependency-groups"]["dev"])]


def resolved() -> Iterator[str]:
    """The names of all installed packages that the project needs, those of its dependencies' dependencies included."""
    waiting, seen = asked_for(), set()
    while waiting:
        wanted = waiting.pop()
        for extra in ("", *sorted(wanted.extras)):
            key = (canonicalize_name(wanted.name), extra)
            if key in seen or (wanted.marker and not wanted.marker.evaluate({"extra": ""})):
                continue
            seen.add(key)
            yield key[0]
            for line in metadata.requires(wanted.name) or ():
                further = Requirement(line)
                if further.marker is None or further.marker.evaluate({"extra": extra}):
                    further.marker = None
                    waiting.append(further)


def test_a_pin_is_a_name_and_a_version() -> None:
    shape = re.compile(r"[a-z0-9.-]+==[0-9a-z.]+( ; [a-zA-Z0-9_ ()'<>=!.,]+)?")
    assert [line for line in PINS if not shape.fullmatch(line)] == []


def test_everything_that_is_asked_for_is_pinned() -> None:
    assert [one.name for one in asked_for() if canonicalize_name(one.name) not in pinned()] == []


def test_every_range_has_a_floor_and_a_ceiling() -> None:
    loose = [str(one) for one in asked_for() if {part.operator for part in one.specifier} != {">=", "<"}]
    assert loose == []


def test_every_pin_is_in_its_range() -> None:
    outside = [str(one) for one in asked_for() if pinned()[canonicalize_name(one.name)] not in one.specifier]
    assert outside == []


def test_a_package_has_the_same_range_wherever_it_is_named() -> None:
    ranges: dict[str, set[str]] = {}
    for one in asked_for():
        ranges.setdefault(canonicalize_name(one.name), set()).add(str(one.specifier))
    assert {name: found for name, found in ranges.items() if len(found) > 1} == {}


@pytest.mark.lowest
def test_every_package_that_is_asked_for_is_installed_at_its_floor() -> None:
    """A floor below what can be installed beside the other packages is one that nobody has tried."""
    wrong = {}
    for one in asked_for():
        [floor] = [part.version for part in one.specifier if part.operator == ">="]
        if one.marker is None or one.marker.evaluate():
            found = Version(metadata.version(one.name)).public  # without the name of a build (2.14.0+cpu)
            if Version(found) != Version(floor):
                wrong[one.name] = (found, floor)
    assert wrong == {}


@pytest.mark.pinned
def test_every_package_that_is_resolved_is_installed_at_its_pin() -> None:
    pins = pinned()
    installed = {name: metadata.version(name) for name in set(resolved())}
    # A build for another processor or accelerator (2.14.1+cpu) is the same version.
    wrong = {
        name: (found, pins.get(name)) for name, found in installed.items() if found.split("+")[0] != pins.get(name)
    }
    assert wrong == {}
