"""For every test run: outputs go to a temporary folder, stored notebook outputs are compared with tolerance.

At the root, because the notebooks (nbval) and the package's doctests need it as well as tests/.
"""

import math
import os
import re
import shutil
import tempfile

DECIMAL = re.compile(r"[-+]?(?:\d+\.\d*|\.\d+)(?:[eE][-+]?\d+)?|[-+]?\d+[eE][-+]?\d+")

# compared as strings by nbval although they depend on versions or hold the same content as text/plain
SKIPPED_FORMS = ("text/html", "text/latex", "image/svg+xml", "application/pdf")

INLINE = "module://matplotlib_inline.backend_inline"


class Printed(str):
    """Printed text that equals another when its words agree exactly and its decimals to 1e-6, or to one unit
    of their last digit: a number may lie on the edge between two roundings.
    """

    def __eq__(self, other):
        if not isinstance(other, str):
            return NotImplemented
        same_words = DECIMAL.sub("#", self).split() == DECIMAL.sub("#", other).split()
        numbers = zip(DECIMAL.findall(self), DECIMAL.findall(other), strict=False)
        return same_words and all(
            math.isclose(float(a), float(b), rel_tol=1e-6, abs_tol=1.001 * max(_unit(a), _unit(b)))
            for a, b in numbers
        )

    def __ne__(self, other):
        return not self == other

    __hash__ = str.__hash__


def _unit(decimal: str) -> float:
    """Of the last digit."""
    digits, _, exponent = decimal.lower().partition("e")
    return 10.0 ** (int(exponent or 0) - len(digits.partition(".")[2]))


def pytest_configure(config):
    """No test writes into the checkout: kernels and subprocesses inherit the variable."""
    config.cpml_output = tempfile.mkdtemp(prefix="cpml-test-")
    os.environ["CPML_OUTPUT"] = config.cpml_output
    # figures of unit tests and doctests need no screen; kernels draw into their notebooks
    os.environ["MPLBACKEND"] = INLINE if config.getoption("--nbval", default=False) else "agg"


def pytest_unconfigure(config):
    """The temporary outputs go with the run."""
    shutil.rmtree(config.cpml_output, ignore_errors=True)


def pytest_collectstart(collector):
    """What is kept beside the plain text of an output is not compared."""
    if hasattr(collector, "skip_compare"):
        collector.skip_compare += SKIPPED_FORMS


def pytest_collection_modifyitems(items):
    """Cells of notebooks compare their printed text as `Printed`."""
    for item in items:
        if hasattr(item, "sanitize"):
            item.sanitize = _tolerant(item.sanitize)


def _tolerant(sanitize):
    def sanitized(text):
        clean = sanitize(text)
        return Printed(clean) if isinstance(clean, str) else clean

    return sanitized
