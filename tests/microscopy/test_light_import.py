"""Importing the package must not load what only some of its functions need."""

import subprocess
import sys


def test_microscopy_imports_nothing_heavy():
    """torch, orix, hyperspy, numba and pandas wait until a function needs them; all names are listed and
    load.
    """
    code = (
        "import sys, cpml.microscopy as m; heavy = {'torch', 'orix', 'hyperspy', 'numba', "
        "'pandas'} & set(sys.modules);"
        "assert not heavy, heavy; [getattr(m, n) for n in m._HOME]; assert callable(m.slip_traces);"
        "import cpml.microscopy.slip_traces; assert callable(cpml.microscopy.slip_traces);"
        "assert not {'torch', 'orix', 'hyperspy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
