"""The toy checkout of the tests of the runner."""

import pytest

from support.toy import make_checkout


@pytest.fixture
def toy(tmp_path, monkeypatch, describe, output):
    """A checkout with two notebooks and one data set, in a folder whose name has a space and a brace."""
    root = tmp_path / "check out {1}"
    monkeypatch.setenv("CPML_ROOT", str(root))
    return make_checkout(root, describe)
