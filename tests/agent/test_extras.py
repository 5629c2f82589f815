"""Optional extras: what is not installed is said in one way, before anything is loaded."""

import sys

import pytest

from imagerag.agent.errors import MissingExtraError
from imagerag.agent.extras import import_extra, is_installed, require_extra


def test_a_module_that_is_there_is_imported_and_one_that_is_not_names_its_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    require_extra("json", "a document", "documents")
    assert import_extra("json.decoder", "a document", "documents").JSONDecoder
    assert import_extra("scipy.stats", "a plot", "evals"), "it stays loaded"
    monkeypatch.setitem(sys.modules, "scipy", None)
    for missing in ("no_such_module", "scipy", "scipy.stats"):
        assert not is_installed(missing.partition(".")[0])
        for check in (import_extra,) if "." in missing else (require_extra, import_extra):
            with pytest.raises(MissingExtraError, match=r"^a plot needs .*: pip install 'imagerag\[evals\]'"):
                check(missing, "a plot", "evals")


def test_a_check_loads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "this", raising=False)
    require_extra("this", "a poem", "poems")
    assert "this" not in sys.modules
