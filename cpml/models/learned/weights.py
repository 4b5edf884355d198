"""The ensemble in a file: plain arrays and JSON text, no pickle; half precision moves answers by 1e-3."""

import json
import zipfile
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np
import torch

from cpml.errors import CpmlError
from cpml.files import write_atomic
from cpml.models.learned.ensemble import Ensemble, Familiar
from cpml.models.learned.network import Mechanics, Shape

FORMAT = 1
SUPPLIED = "weights.npz"


def write_ensemble(ensemble: Ensemble, path: Path) -> Path:
    """Write one file."""
    arrays = {
        f"member{k}.{name}": value.detach().numpy().astype(np.float16)
        for k, member in enumerate(ensemble.members)
        for name, value in member.state_dict().items()
    }
    arrays |= {
        "familiar.mean": ensemble.familiar.mean.numpy(),
        "familiar.whitening": ensemble.familiar.whitening.numpy(),
    }
    about = {
        "format": FORMAT,
        "shape": ensemble.members[0].shape.to_dict(),
        "members": len(ensemble.members),
        "limit": ensemble.familiar.limit,
        "scale": ensemble.scale,
        "radii": ensemble.radii,
        "facts": ensemble.facts,
    }
    arrays["about"] = np.array(json.dumps(about, sort_keys=True))

    def save(temporary: Path) -> None:
        with open(temporary, "wb") as file:
            np.savez_compressed(file, **arrays)

    return write_atomic(Path(path), save)


def read_ensemble(path: Path) -> Ensemble:
    """Read one file, in double precision.

    Raises
    ------
    CpmlError : the file is missing, damaged, or of another format
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        about = json.loads(str(arrays["about"]))
        if about["format"] != FORMAT:
            raise ValueError(f"format {about['format']}, not {FORMAT}")
        members = []
        for k in range(about["members"]):
            member = Mechanics(Shape(**about["shape"]))
            state = {
                name: torch.tensor(arrays[f"member{k}.{name}"].astype(np.float64))
                for name in member.state_dict()
            }
            member = member.double()
            member.load_state_dict(state)
            members.append(member.eval().requires_grad_(False))
        familiar = Familiar(
            torch.tensor(arrays["familiar.mean"]), torch.tensor(arrays["familiar.whitening"]), about["limit"]
        )
        return Ensemble(tuple(members), familiar, about["scale"], about["radii"], about["facts"])
    except (OSError, EOFError, ValueError, TypeError, KeyError, RuntimeError, zipfile.BadZipFile) as error:
        raise CpmlError(
            f"{path}: no weights of the learned mechanics ({error}); make them with tasks.py pretrain"
        ) from None


@cache
def supplied() -> Ensemble:
    """The ensemble that comes with the package."""
    with resources.as_file(resources.files(__package__) / SUPPLIED) as path:
        return read_ensemble(path)
