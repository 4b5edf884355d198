"""Calibration finds the parameters that made the curve."""

import numpy as np
import pandas as pd
import pytest

from cpml.crystallography import random_quaternions
from cpml.errors import CpmlError
from cpml.load import Load
from cpml.plasticity import PowerLaw, Voce, calibrate, deform
from support.phases import FCC


def test_own_curve_is_found_again():
    """Curve of the law itself (scale 2, tau1 = 0.8 tau0, theta0 = 15 tau0, theta1 = tau0): scale within 2
    %, misfit below 1 % of stress.

    The curve is read back through strain = plastic + stress / E and linear interpolation
    between steps, hence not exact.
    """
    q = random_quaternions(8, np.random.default_rng(0))
    load = Load.from_dict({"kind": "tension", "axis": "x"})
    law = PowerLaw(FCC, np.array([20.0]))
    hardening = Voce(FCC, tau1=32.0, theta0=600.0, theta1=40.0)
    options = {"loading": load, "increment": 0.001, "steps": 40, "update_texture": False}
    made = deform(PowerLaw(FCC, [40.0]), hardening, q, **options)
    elastic = np.linspace(0, 0.8, 9) * float(made.von_mises[0])
    stress = np.r_[elastic, made.von_mises.numpy()]
    plastic = np.r_[np.zeros(len(elastic)), made.strain.numpy()]
    curve = pd.DataFrame({"true_strain": plastic + stress / 50e3, "true_stress_mpa": stress})
    noise = np.random.default_rng(1).normal(0, 0.3, len(stress))
    found = calibrate(
        law, q, loading=load, curve=curve.assign(true_stress_mpa=stress + noise), scheme="taylor"
    )
    values = found.values.set_index("parameter")["value"]
    # uncertainty: intervals around the values, correlated parameters, a band of the curve
    assert np.all(found.values["low"] < found.values["value"]) and np.all(
        found.values["value"] < found.values["high"]
    )
    correlation = found.correlation.to_numpy()
    assert np.diag(correlation) == pytest.approx(1) and np.linalg.eigvalsh(found.covariance).min() >= 0
    assert np.abs(correlation[np.triu_indices(4, 1)]).max() > 0.3
    width = found.high - found.low
    assert np.all(width > 0) and width.max() < 2.0  # MPa, under noise of 0.3
    assert values["scale"] == pytest.approx(2.0, rel=0.02)
    assert found.rms_mpa < 0.01 * stress.max()


def test_elastic_curve_is_refused():
    """A curve that never leaves the elastic line says nothing of plasticity."""
    strain = np.linspace(0, 1e-3, 6)
    curve = pd.DataFrame({"true_strain": strain, "true_stress_mpa": 50e3 * strain})
    with pytest.raises(CpmlError, match="beyond the elastic part"):
        calibrate(
            PowerLaw(FCC, np.array([20.0])),
            np.array([[1.0, 0, 0, 0]]),
            loading=Load.from_dict({"kind": "tension", "axis": "x"}),
            curve=curve,
        )
