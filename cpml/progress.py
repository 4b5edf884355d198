"""A bar for long work: on a terminal, when there is something to wait for; nothing in
files, logs and notebooks' stores.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")
DELAY_S = 1.0
"""Work that takes less shows no bar."""


def progress(
    items: Iterable[Item], what: str, *, total: int | None = None, unit: str = "it"
) -> Iterator[Item]:
    """The items one after the other, with a bar named `what`.

    Examples
    --------
    >>> sum(progress([1, 2, 3], "adding"))
    6
    """
    from tqdm import tqdm

    # disable=None: quiet off a terminal
    return iter(tqdm(items, desc=what, total=total, unit=unit, disable=None, leave=False, delay=DELAY_S))
