"""Answers to expensive questions about a specimen, kept for whoever asks again: folds, draws and models."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any


class Remembered:
    """The latest answers, by question.

    A specimen holds one; copies of it with other labels, load or grains share it. So a question must name
    whatever its answer depends on, and an answer must not depend on what was asked before.

    Examples
    --------
    >>> answers = Remembered(most=2)
    >>> [answers.get(n, lambda: n**2) for n in (2, 3, 2)], len(answers)
    ([4, 9, 4], 2)
    """

    def __init__(self, most: int = 64):
        self.most = most
        self._answers: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._answers)

    def get(self, question: Hashable, solve: Callable[[], Any]) -> Any:
        """The answer: remembered, or found by ``solve``; beyond ``most`` answers the oldest is forgotten.

        Threads that ask the same at once both solve it; the answers are equal.
        """
        with self._lock:
            if question in self._answers:
                return self._answers[question]
        answer = solve()
        with self._lock:
            self._answers[question] = answer
            while len(self._answers) > self.most:
                self._answers.popitem(last=False)
        return answer
