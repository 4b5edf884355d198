"""The direction of an unknown load as a latent of the model.

A map without a recorded load still tells it: under the right axis the twins and traces are likely. The model
is fitted under each of a few candidate axes j, and the answers are averaged with the weights of the evidence,

    p = sum_j w_j p_j,      w_j = exp(log Z_j) / sum_i exp(log Z_i),      log Z_j ~ log posterior_j + 1/2 log det(2 pi C_j)

(Laplace's approximation, equal weights beforehand; C_j the covariance of the parameters). Only
labels that are trained on enter the weights, so a blocked evaluation stays honest where an axis
picked once from all labels would not.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone

from cpml.errors import ParameterError
from cpml.load import Load

N_AXES = 6


def in_plane_axes(n: int = N_AXES) -> list[list[float]]:
    """``n`` axes in the map, 180 / n degrees apart, the first along x, and the map normal."""
    angles = np.pi * np.arange(n) / n
    return [*([float(np.cos(a)), float(np.sin(a)), 0.0] for a in angles), [0.0, 0.0, 1.0]]


class LatentLoad(BaseEstimator):
    """Mixture of one model over load axes; the load's kind (tension, compression) is that of the specimen.

    Parameters
    ----------
    model : unfitted model with fit, predict and, once fitted, log_evidence (a CoupledClassifier)
    n_axes : candidate axes in the plane of the map; its normal is one more

    Attributes
    ----------
    models_ : fitted models; axes_ : (J, 3); weights_ : DataFrame angle_deg (on the
        screen, NaN for the normal), weight
    """

    def __init__(self, model, *, n_axes: int = N_AXES):
        self.model = model
        self.n_axes = n_axes

    @property
    def name(self) -> str:
        """Name in tables and figures."""
        return f"{self.model.name}_latent_load"

    def fit(self, specimens: list):
        """Fit the model under every axis, the same for all specimens.

        Raises
        ------
        ParameterError : a load that has no axis
        """
        self.axes_ = np.array(in_plane_axes(self.n_axes))
        turned = [[_under(s, axis) for s in specimens] for axis in self.axes_]
        self.models_ = [clone(self.model).fit(group) for group in turned]
        evidence = np.array([m.log_evidence for m in self.models_])
        weight = np.exp(evidence - evidence.max())
        angle = np.degrees(np.arctan2(-self.axes_[:, 1], self.axes_[:, 0])) % 180
        angle = np.where(np.abs(self.axes_[:, 2]) > 0.5, np.nan, angle)
        self.weights_ = pd.DataFrame({"angle_deg": angle.round(6), "weight": weight / weight.sum()})
        return self

    def predict(self, specimen) -> pd.DataFrame:
        """Probabilities averaged over the axes, columns of the model."""
        tables = [m.predict(_under(specimen, axis)) for m, axis in zip(self.models_, self.axes_, strict=True)]
        found = tables[0].assign(model=self.name)
        for column in tables[0].select_dtypes("float").columns:
            found[column] = sum(w * t[column] for w, t in zip(self.weights_["weight"], tables, strict=True))
        return found


def _under(specimen, axis):
    load = specimen.load
    if load.kind not in ("tension", "compression"):
        raise ParameterError(
            f"specimen {specimen.name!r}: a load of kind {load.kind!r} has no single axis; "
            "tension and compression have"
        )
    values = {
        "kind": load.kind,
        "axis": list(axis),
        "strain": load.strain,
        "rate": load.rate,
        "temperature": load.temperature,
    }
    return replace(
        specimen, load=Load.from_dict({k: v for k, v in values.items() if v is not None} | {"assumed": True})
    )
