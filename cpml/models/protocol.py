"""Out-of-fold predictions: every model, every fold, never a label of a held-out grain or of its neighbours."""

from collections.abc import Iterable

import pandas as pd

from cpml.errors import CpmlError
from cpml.models.specimen.specimen import Specimen


def cross_validate(models: Iterable, specimen: Specimen, splits) -> pd.DataFrame:
    """Train on the training grains of each fold, predict the held-out ones.

    Geometry and neighbours of all grains stay visible to the models: they are measured before
    anything is predicted. Only the footprints of held-out grains, and of the grains in the
    buffer around them, are hidden.

    Parameters
    ----------
    models : unfitted models with ``fit(specimens)`` and ``predict(specimen)``
    splits : `cpml.evaluation.Splits`

    Returns
    -------
    DataFrame grain_id, mechanism, target, family, p, model, fold (and p_cp, share where a model gives them)
    """
    parts, blind = [], specimen.with_labels_of([])  # no model sees a footprint while it predicts
    for model in models:
        for fold in splits.folds:
            train = specimen.with_labels_of(splits.train(fold))
            try:
                model.fit([train])
            except CpmlError as error:
                raise CpmlError(f"fold {fold}, model {model.name!r}: {error}") from None
            table = model.predict(blind)
            parts.append(table[table["grain_id"].isin(splits.test(fold))].assign(fold=fold))
    return pd.concat(parts, ignore_index=True)
