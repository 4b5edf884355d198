"""The direction of an unknown load as a latent of the model.

A map without a recorded load still tells it: under the right axis the twins and traces are likely. The model
is fitted under each of a few candidate axes j, and the answers are averaged with the weights of the evidence,

    p = sum_j w_j p_j,      w_j = exp(log Z_j) / sum_i exp(log Z_i),
    log Z_j ~ log posterior_j + 1/2 log det(2 pi C_j)

(Laplace's approximation, equal weights beforehand; C_j the covariance of the parameters). Only
labels that are trained on enter the weights, so a blocked evaluation stays honest where an axis
picked once from all labels would not.
"""

from dataclasses import replace
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from cpml.errors import ParameterError
from cpml.load import Load
from cpml.models.coupled.coupled import CoupledClassifier
from cpml.models.specimen.specimen import Specimen

N_AXES = 6


def in_plane_axes(n: int = N_AXES) -> list[list[float]]:
    """``n`` axes in the map, 180 / n degrees apart, the first along x, and the map normal."""
    angles = np.pi * np.arange(n) / n
    return [*([float(np.cos(a)), float(np.sin(a)), 0.0] for a in angles), [0.0, 0.0, 1.0]]


class LatentLoad(BaseEstimator):
    """Mixture of one model over load axes; the load's kind (tension, compression) is that of the specimen.

    Parameters
    ----------
    model : unfitted
    n_axes : candidate axes in the plane of the map; its normal is one more

    Attributes
    ----------
    models_ : fitted models; axes_ : (J, 3); weights_ : DataFrame angle_deg (on the
        screen, NaN for the normal), weight
    """

    def __init__(self, model: CoupledClassifier, *, n_axes: int = N_AXES):
        self.model = model
        self.n_axes = n_axes

    @property
    def name(self) -> str:
        """Name in tables and figures."""
        return f"{self.model.name}_latent_load"

    def fit(self, specimens: list[Specimen]) -> Self:
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

    def predict(self, specimen: Specimen) -> pd.DataFrame:
        """Probabilities averaged over the axes, columns of the model."""
        check_is_fitted(self)
        tables = [m.predict(_under(specimen, axis)) for m, axis in zip(self.models_, self.axes_, strict=True)]
        columns = tables[0].select_dtypes("float").columns
        values = np.stack([table[columns].to_numpy() for table in tables])
        averaged = pd.DataFrame(
            np.einsum("j,jnc->nc", self.weights_["weight"], values), columns=columns, index=tables[0].index
        )
        return tables[0].assign(model=self.name, **averaged)


def _under(specimen: Specimen, axis: NDArray) -> Specimen:
    """The specimen with its load along another axis."""
    load = specimen.load
    if load.kind not in ("tension", "compression"):
        raise ParameterError(
            f"specimen {specimen.name!r}: a load of kind {load.kind!r} has no single axis; "
            "tension and compression have"
        )
    values = {"kind": load.kind, "axis": list(axis), "rate": load.rate, "assumed": True}
    known = {"strain": load.strain, "temperature": load.temperature}
    values |= {name: value for name, value in known.items() if value is not None}
    return replace(specimen, load=Load.from_dict(values))
