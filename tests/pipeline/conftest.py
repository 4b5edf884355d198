"""The toy checkout of the tests of the runner."""

import pytest

from cpml.pipeline import chain
from support.toy import execute_at_once, make_checkout


@pytest.fixture
def toy(tmp_path, monkeypatch, describe, output):
    """A checkout with two notebooks and one data set, in a folder whose name has a space and a brace."""
    root = tmp_path / "check out {1}"
    monkeypatch.setenv("CPML_ROOT", str(root))
    return make_checkout(root, describe)


@pytest.fixture
def quick(toy, monkeypatch):
    """The toy checkout, its notebooks pretended to be executed in no time."""
    monkeypatch.setattr(chain, "execute", execute_at_once)
    return toy
