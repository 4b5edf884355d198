"""A small synthetic specimen whose footprints follow the model itself, so that every answer is known."""

import pytest

from benchmarks.synthetic import Microscope, synthetic_specimen
from cpml.crystallography import load_material
from cpml.models import CoupledClassifier

EVERYTHING_SEEN = Microscope(visible_share=0.2, missed=0.0, false_rate=0.0)


def make_specimen(
    n=60,
    *,
    material="magnesium",
    seed=0,
    load="tension",
    ratios=None,
    scatter=0.05,
    n_exponent=20.0,
    labelled=True,
):
    """Specimen and shares (G, S): Sachs law with the strengths given in family
    order, else those of the literature.
    """
    file = load_material(material)
    strengths = file.strengths if ratios is None else ratios
    made = synthetic_specimen(
        n,
        material=material,
        ratios=dict(zip(file.families, strengths, strict=True)),
        n=n_exponent,
        scatter=scatter,
        load=load,
        microscope=EVERYTHING_SEEN,
        prior_error=0.0,
        labelled=labelled,
        seed=seed,
    )
    return made.specimen, made.share


@pytest.fixture(scope="session")
def specimen():
    """60 magnesium grains with traces and twins."""
    return make_specimen()[0]


@pytest.fixture(scope="session")
def fitted(specimen):
    """The coupled model in the self-consistent medium, fitted once without the residual; only asked."""
    return CoupledClassifier(residual=False, n_draws=16, scheme="affine").fit([specimen])


@pytest.fixture
def build():
    """The maker itself, for tests that need other settings."""
    return make_specimen
