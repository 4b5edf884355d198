"""`import cpml` is light: the heavy libraries load where they are used."""

import subprocess
import sys

import pytest

HEAVY = (
    "torch",
    "orix",
    "hyperspy",
    "pandas",
    "matplotlib",
    "sklearn",
    "numba",
    "scipy",
    "numpy",
    "papermill",
)


@pytest.mark.parametrize("statement", ["import cpml", "import cpml; cpml.CpmlError; dir(cpml)"])
def test_importing_the_package_loads_no_heavy_library(statement):
    """Counted in modules, not in seconds: a busy machine must not fail it."""
    code = f"import sys; {statement}; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_describing_a_data_set_needs_numpy_only():
    code = f"import sys, cpml; cpml.load_dataset; print([n for n in {HEAVY} if n in sys.modules and n != 'numpy'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_public_names_are_there_and_a_misspelt_one_is_an_attribute_error():
    import cpml

    assert all(getattr(cpml, name) is not None for name in cpml.__all__)
    with pytest.raises(AttributeError, match="no attribute 'load_datset'"):
        _ = cpml.load_datset
