"""Fitted coupled models as JSON text: nothing is executed on reading, another version is refused."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from cpml.crystallography.materials import Material
from cpml.errors import CpmlError
from cpml.files import write_json
from cpml.models.coupled.prior import Prior
from cpml.models.coupled.residual import ResidualHead
from cpml.models.numerics import Numerics

FORMAT = "cpml-coupled-3"


def write_model(model: Any, path: str | Path) -> None:
    """Write a fitted CoupledClassifier (a class that itself imports this module)."""
    strengths = model.strengths_.astype(object).where(model.strengths_.notna(), None)
    content = {
        "format": FORMAT,
        "parameters": model.get_params() | {"numerics": asdict(model.numerics)},
        "families": list(model.prior_.families),
        "material": model.prior_.material.name,
        "gate": model.gate_,
        "frequency": list(model.frequency_),
        "vector": model.vector_.tolist(),
        "covariance": model.covariance_.tolist(),
        "head": model.prior_.head.to_dict(),
        "strengths": strengths.to_dict(orient="list"),
    }
    write_json(Path(path), content)


def read_model(cls: type, path: str | Path, material: Material) -> Any:
    """A fitted ``cls`` from the file that :func:`write_model` wrote.

    Raises
    ------
    CpmlError : another format or version, another material, or a file that is no saved model
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        if content["format"] != FORMAT or content["material"] != material.name:
            written = f"{content['format']} for {content['material']}"
            raise CpmlError(
                f"{path}: written as {written}, expected {FORMAT} for {material.name}; fit the model again"
            )
        parameters = content["parameters"]
        model = cls(**parameters | {"numerics": Numerics(**parameters["numerics"])})
        head = ResidualHead.from_dict(content["head"])
        model.prior_ = Prior(
            material, tuple(content["families"]), head, model.scatter, model.shrinkage, model.edges
        )
        model.gate_, model.frequency_ = float(content["gate"]), tuple(map(float, content["frequency"]))
        model.vector_ = torch.tensor(content["vector"], dtype=torch.float64)
        model.covariance_ = np.array(content["covariance"], dtype=float)
        n_parameters, n_base = len(model.prior_.centre()), model.prior_.n_base
        if len(model.vector_) != n_parameters or model.covariance_.shape != (n_base, n_base):
            raise CpmlError(f"{path}: {len(model.vector_)} parameters, expected {n_parameters}")
        model.strengths_ = pd.DataFrame(content["strengths"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CpmlError(f"{path}: not a saved coupled model ({type(error).__name__}: {error})") from None
    model.theta_ = model.prior_.named(model.vector_)
    return model
