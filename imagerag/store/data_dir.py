"""The data directory: one folder, and the paths of the files in it."""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from imagerag.agent.environment import environment_value
from imagerag.agent.errors import UsageError
from imagerag.formatting.text import clean

ENVIRONMENT = "IMAGERAG_HOME"


@dataclass(frozen=True)
class DataDir:
    """The folder that holds libraries, blobs, checkpoints, the journal and the list of runs.

    Nothing is created until it is written to.

    Attributes:
        root: the folder, absolute.
    """

    root: Path

    @classmethod
    def find(cls, root: str | os.PathLike[str] | None = None) -> "DataDir":
        """The home to use: `root` when given, else `IMAGERAG_HOME`, else the platform's user data directory.

        Raises:
            UsageError: it is no folder.
        """
        folder = root if root and str(root).strip() else environment_value(ENVIRONMENT)
        if not folder:
            return cls.default()
        home = Path(folder).expanduser().absolute()
        if "\0" in str(home) or (home.exists() and not home.is_dir()):
            raise UsageError(f"the home {clean(str(home))} is no folder: name one with `home=DIR` or {ENVIRONMENT}")
        return cls(home)

    @classmethod
    def default(cls) -> "DataDir":
        """The platform's user data directory: what is used where nobody names another."""
        from platformdirs import user_data_path

        return cls(user_data_path("imagerag", appauthor=False).absolute())

    @cached_property
    def libraries(self) -> Path:
        """The LanceDB database: one table per library."""
        return self.root / "libraries"

    @cached_property
    def blobs(self) -> Path:
        """Image bytes under their SHA-256."""
        return self.root / "blobs"

    @cached_property
    def images(self) -> Path:
        """Default folder of results."""
        return self.root / "images"

    @cached_property
    def image_links(self) -> Path:
        """Links to blobs under names that open."""
        return self.root / "image-links"

    @cached_property
    def earlier_image_links(self) -> Path:
        """Paths of earlier versions."""
        return self.root / "pictures"

    @cached_property
    def reserve(self) -> Path:
        """A file that holds some room for removals on a full disk."""
        return self.root / "reserve"

    @cached_property
    def checkpoints(self) -> Path:
        """LangGraph's checkpoints of every run (SQLite)."""
        return self.root / "runs.sqlite"

    @cached_property
    def page_key(self) -> Path:
        """Secret that signs what open pages of `imagerag ui` send, so that they outlive a restart."""
        return self.root / "page.key"

    def lock(self, run_id: str) -> Path:
        """Lock file of a run, locked while the run is made."""
        return self.root / "running" / run_id

    def thread_lock(self, thread_id: str) -> Path:
        """Lock file of a conversation, locked while a question of it is answered."""
        return self.root / "answering" / thread_id

    @cached_property
    def filling(self) -> Path:
        """Lock files of libraries, locked while a library is filled."""
        return self.root / "filling"

    @cached_property
    def conversations(self) -> Path:
        """LangGraph's checkpoints of the threads of questions (SQLite)."""
        return self.root / "questions.sqlite"

    @cached_property
    def store(self) -> Path:
        """LangGraph's store, which holds the journal (SQLite)."""
        return self.root / "store.sqlite"

    @cached_property
    def usage(self) -> Path:
        """Daily spending of servers (SQLite)."""
        return self.root / "usage.sqlite"

    @cached_property
    def run_list(self) -> Path:
        """The list of runs (SQLite). It has its own file, so that listing never waits for a run that writes."""
        return self.root / "run_list.sqlite"
