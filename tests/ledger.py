"""What nodes have done, written down by the nodes themselves, whatever process they run in."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path


class Ledger:
    """A file that nodes append words to. It travels with the functions that use it."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.clear()

    def note(self, word: object) -> None:
        """Append a word, in one write: lines of several processes do not mix."""
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            os.write(handle, f"{word}\n".encode())
        finally:
            os.close(handle)

    @property
    def words(self) -> list[str]:
        """Everything that was written down, in order."""
        return Path(self.path).read_text().splitlines()

    @property
    def counts(self) -> Counter[str]:
        """How often each word was written down."""
        return Counter(self.words)

    def clear(self) -> None:
        """Begin anew."""
        Path(self.path).write_text("")

    def __len__(self) -> int:
        return len(self.words)
