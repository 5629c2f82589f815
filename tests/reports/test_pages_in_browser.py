"""The report in a real browser: it fits a phone, follows the colour scheme, complains of nothing, fetches nothing."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from imagerag.cli import main
from tests.reports.conftest import RUNS, Browser


@pytest.fixture(scope="module")
def pages(every_outcome: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    done = CliRunner().invoke(main, ["--home", str(every_outcome), "report", "--all", "--out", str(folder)])
    assert done.exit_code == 0, done.output
    return folder


@pytest.mark.parametrize("name", [*RUNS, "index"])
@pytest.mark.parametrize("width", [390, 1280])
def test_pages_fit_and_complain_of_nothing(pages: Path, browser: Browser, name: str, width: int) -> None:
    seen = browser.look(pages / f"{name}.html", width=width, dark=False)
    assert seen["wide"] <= seen["room"] == width
    assert seen["over"] == []
    assert seen["broken"] == 0
    told = [
        e
        for e in seen["events"]
        if e["method"] in ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
    ]
    assert told == []
    asked = [e["params"]["request"]["url"] for e in seen["events"] if e["method"] == "Network.requestWillBeSent"]
    assert {url.split(":")[0] for url in asked} <= {"file", "data"}


def test_pages_follow_the_colour_scheme(pages: Path, browser: Browser) -> None:
    light, dark = (browser.look(pages / "aligned.html", width=800, dark=dark)["paper"] for dark in (False, True))
    assert (light, dark) == ("rgb(250, 249, 246)", "rgb(22, 21, 19)")
