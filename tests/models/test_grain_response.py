"""One door to all schemes, and what the learned one keeps on a specimen."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cpml.crystallography.tensors import to_vector
from cpml.errors import CpmlError, ParameterError
from cpml.models import CoupledClassifier, grain_response
from cpml.models.mechanics.crystals import load_direction
from cpml.models.mechanics.grain_stress import SCHEMES, scheme_for
from cpml.models.mechanics.learned import learned
from cpml.models.mechanics.response import best_scheme
from cpml.models.specimen.remembered import Remembered

WITHOUT_MAP = [s for s in SCHEMES if s not in ("full_field", "depth")]


@pytest.mark.parametrize("scheme", WITHOUT_MAP)
def test_every_scheme_answers_in_one_form(specimen, scheme):
    grains = len(specimen)
    answer = grain_response(specimen, scheme=scheme)
    assert answer.stress.shape == (grains, 5) and answer.covariance.shape == (grains, 5, 5)
    for tensor in (answer.strain_rate, answer.strain_rate_sd, answer.spin, answer.spin_sd):
        assert tensor.shape == (grains, 3, 3)
    np.testing.assert_allclose(np.trace(answer.strain_rate, axis1=1, axis2=2), 0, atol=1e-9)
    np.testing.assert_allclose(answer.spin, -answer.spin.transpose(0, 2, 1), atol=1e-12)
    assert answer.converged
    # the grains carry the load together: a unit of stress along it
    along = specimen.weights @ (answer.stress @ load_direction(specimen))
    assert along == pytest.approx(1, abs=1e-9)
    table = answer.to_frame()
    assert list(table["grain_id"]) == list(specimen.grain_ids) and table.notna().all(axis=None)


def test_strengths_by_name_in_order_and_in_any_unit(specimen):
    by_name = {f: p.strength for f, p in specimen.material.families.items()}
    one = grain_response(specimen, scheme="affine", strengths=by_name)
    other = grain_response(specimen, scheme="affine", strengths=7 * np.array(list(by_name.values())))
    np.testing.assert_allclose(one.stress, other.stress, atol=1e-9)
    harder = grain_response(specimen, scheme="affine", strengths=by_name | {"prismatic": 500.0})
    assert np.abs(one.stress - harder.stress).max() > 0.01


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"scheme": "guess"}, "choose from auto, sachs"),
        ({"strengths": {"basal": 1.0}}, "is not in both"),
        ({"strengths": [1.0, 2.0]}, "must be 4 positive numbers"),
        ({"strengths": [1.0, 2.0, -3.0, 4.0]}, "must be 4 positive numbers"),
        ({"n": 0.0}, "must be positive"),
    ],
)
def test_wrong_questions_are_one_error(specimen, options, said):
    with pytest.raises(ParameterError, match=said):
        grain_response(specimen, **options)
    with pytest.raises(CpmlError, match="no map"):
        grain_response(specimen, scheme="full_field")


def test_auto_knows_the_map_where_there_is_one(specimen):
    assert scheme_for(specimen) == "affine"
    coarse, fine = (
        replace(specimen, raster=np.arange(60).reshape(6, 10).repeat(k, 0).repeat(k, 1)) for k in (2, 3)
    )
    assert scheme_for(coarse) == CoupledClassifier().scheme_of(coarse) == "learned"
    assert [best_scheme(s) for s in (specimen, coarse, fine)] == ["affine", "learned", "depth"]


def test_what_the_network_adds_has_no_mean(specimen):
    """The macroscopic stress and strain rate are those of the mean field of the same exponent, exactly."""
    medium, answer = (grain_response(specimen, scheme=s, n=20.0) for s in ("affine", "learned"))
    weights = specimen.weights
    np.testing.assert_allclose(weights @ answer.stress, weights @ medium.stress, atol=1e-12)
    rates = [np.einsum("g,gij->ij", weights, a.strain_rate) for a in (medium, answer)]
    np.testing.assert_allclose(*rates, atol=1e-12)
    assert weights @ np.exp(answer.log_shear) == pytest.approx(1, abs=1e-12)
    assert np.abs(answer.stress - medium.stress).max() > 0.01


def test_gradient_by_strengths_is_exact(specimen):
    """Through mean field and network, against central differences; the mean field is solved to 1e-6."""
    start = torch.tensor(np.log(specimen.material.strengths))
    weight = torch.randn(len(specimen), 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def value(log_strength):
        return (learned(specimen, log_strength).answer.stress * weight).sum()

    point = start.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(value(point), point)
    step = 1e-3
    with torch.no_grad():
        shifts = step * torch.eye(len(start), dtype=torch.float64)
        wanted = torch.stack([(value(start + e) - value(start - e)) / (2 * step) for e in shifts])
    assert float((gradient - wanted).abs().max()) < 2e-3 * float(wanted.abs().max())


def test_who_knows_no_neighbour_knows_less(specimen):
    """Without its boundaries a map is all rim; the covariances say so."""
    alone = replace(
        specimen,
        neighbours=specimen.neighbours[:0],
        edge_length=specimen.edge_length[:0],
        edge_angle=specimen.edge_angle[:0],
        answers=Remembered(),
    )
    known, unknown = (grain_response(s, scheme="learned").covariance for s in (specimen, alone))
    traces = [np.trace(c, axis1=1, axis2=2) for c in (known, unknown)]
    assert np.median(traces[1] / traces[0]) > 1.02


def test_regions_grow_with_what_they_should_hold(specimen):
    answer, medium = (grain_response(specimen, scheme=s) for s in ("learned", "affine"))
    for part in ("stress", "rate", "spin"):
        radii = [answer.region(level, part) for level in (0.1, 0.5, 0.9, 0.99)]
        assert radii == sorted(radii) and radii[0] > 0
    assert medium.region(0.9) == pytest.approx(9.236, abs=1e-3)  # chi squared of five degrees of freedom


def test_units_of_the_stress(specimen):
    """Sachs: every grain has the load's own stress, a unit along it."""
    stress = grain_response(specimen, scheme="sachs").stress
    wanted = to_vector(specimen.load.stress)
    np.testing.assert_allclose(stress, np.tile(wanted / np.linalg.norm(wanted), (len(specimen), 1)))
