"""The direction of a load as a latent of the model: unknown, or declared and doubted.

A map without a recorded load still tells it: under the right axis the twins and traces are likely. And a
declared axis may be wrong. The model is fitted under each of a few axes j, and the answers are averaged,

    p = sum_j w_j p_j,      w_j ~ pi_j exp(log Z_j),      log Z_j ~ log posterior_j + 1/2 log det(2 pi C_j)

(Laplace's approximation, C_j the covariance of the parameters). pi_j, before any footprint, is the same for
all axes where the load is assumed; a load that was recorded has the weight ``declared``, the other axes share
the rest. A quick stand-in (`cpml.models.coupled.stand_in`) goes first, and the model itself is fitted only
under axes that it leaves possible. Only labels that are trained on enter the weights, so a blocked evaluation
stays honest where an axis picked once from all labels would not.
"""

from dataclasses import replace
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from cpml.errors import ParameterError
from cpml.models.coupled.coupled import CoupledClassifier
from cpml.models.coupled.loads import DECLARED, N_AXES, UNIAXIAL, along, in_plane_axes
from cpml.models.coupled.stand_in import quick_fit
from cpml.models.specimen.specimen import Specimen

SAME_AXIS = np.cos(np.radians(1.0))
IMPOSSIBLE = 12.0
"""Nats behind the best, by the stand-in, from which an axis is not tried: odds of 160,000 to 1, since the
stand-in itself may err."""


class LatentLoad(BaseEstimator):
    """Mixture of one model over load axes; the load's kind (tension, compression) is that of the specimen.

    Parameters
    ----------
    model : unfitted, of any scheme
    n_axes : candidate axes in the plane of the map; its normal is one more, and the declared axis, where it
        is none of them
    declared : weight, before any footprint, of an axis that was recorded (a load that is not ``assumed``)

    Attributes
    ----------
    axes_ : (J, 3); models_ : fitted models, None for axes that the stand-in rules out; weights_ : DataFrame
        angle_deg (on the screen, NaN for the normal), prior, weight; declared_ : row of the declared axis,
        None where it is assumed
    """

    def __init__(self, model: CoupledClassifier, *, n_axes: int = N_AXES, declared: float = DECLARED):
        self.model = model
        self.n_axes = n_axes
        self.declared = declared

    @property
    def name(self) -> str:
        """Name in tables and figures."""
        return f"{self.model.name}_latent_load"

    def fit(self, specimens: list[Specimen]) -> Self:
        """Fit the model under every possible axis, the same for all specimens.

        Raises
        ------
        ParameterError : a load that has no axis, or a weight of the declared one that is no probability
        """
        if not 0 < self.declared < 1:
            raise ParameterError(f"declared {self.declared} is a weight between 0 and 1, both excluded")
        self.axes_, self.declared_ = self._axes(specimens)
        n = len(self.axes_)
        prior = np.full(n, 1 / n)
        if self.declared_ is not None:
            prior = np.full(n, (1 - self.declared) / (n - 1))
            prior[self.declared_] = self.declared
        turned = [[_under(s, axis) for s in specimens] for axis in self.axes_]
        by_stand_in = np.array([quick_fit(self.model, group).log_evidence for group in turned]) + np.log(
            prior
        )
        possible = by_stand_in > by_stand_in.max() - IMPOSSIBLE
        self.models_ = [
            clone(self.model).fit(group) if fits else None
            for group, fits in zip(turned, possible, strict=True)
        ]
        log_weight = np.full(n, -np.inf)
        for j, model in enumerate(self.models_):
            if model is not None:
                log_weight[j] = np.log(prior[j]) + model.log_evidence
        weight = np.exp(log_weight - log_weight.max())
        angle = np.degrees(np.arctan2(-self.axes_[:, 1], self.axes_[:, 0])) % 180
        angle = np.where(np.abs(self.axes_[:, 2]) > 0.5, np.nan, angle)
        self.weights_ = pd.DataFrame(
            {"angle_deg": angle.round(6), "prior": prior, "weight": weight / weight.sum()}
        )
        return self

    def _axes(self, specimens: list[Specimen]) -> tuple[NDArray, int | None]:
        """Candidates (J, 3), and the row of the one that all specimens declare."""
        axes = np.array(in_plane_axes(self.n_axes))
        for specimen in specimens:
            _check(specimen)
        known = specimens[0].load.main_axis
        if any(s.load.assumed or abs(s.load.main_axis @ known) < SAME_AXIS for s in specimens):
            return axes, None
        same = np.flatnonzero(np.abs(axes @ known) > SAME_AXIS)
        if len(same):
            return axes, int(same[0])
        return np.vstack([known, axes]), 0

    def predict(self, specimen: Specimen) -> pd.DataFrame:
        """Probabilities averaged over the axes, columns of the model."""
        check_is_fitted(self)
        pairs = [(m, axis) for m, axis in zip(self.models_, self.axes_, strict=True) if m is not None]
        weights = self.weights_["weight"].to_numpy()[[m is not None for m in self.models_]]
        tables = [m.predict(_under(specimen, axis)) for m, axis in pairs]
        columns = tables[0].select_dtypes("float").columns
        values = np.stack([table[columns].to_numpy() for table in tables])
        averaged = pd.DataFrame(
            np.einsum("j,jnc->nc", weights, values), columns=columns, index=tables[0].index
        )
        return tables[0].assign(model=self.name, **averaged)


def _under(specimen: Specimen, axis: NDArray) -> Specimen:
    """The specimen with its load along another axis."""
    _check(specimen)
    return replace(specimen, load=along(specimen.load, axis))


def _check(specimen: Specimen) -> None:
    if specimen.load.kind not in UNIAXIAL:
        raise ParameterError(
            f"specimen {specimen.name!r}: a load of kind {specimen.load.kind!r} has no single axis; "
            "tension and compression have"
        )
