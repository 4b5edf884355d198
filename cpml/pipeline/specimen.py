"""The specimen that the models see, from the files that the notebooks of a run wrote."""

from cpml.datasets.curve import read_curve
from cpml.models.specimen.specimen import Specimen, build_specimen


def specimen_of(run) -> Specimen:
    """Specimen of the phase that a notebook is about from what notebooks 02 and 03 wrote for a `cpml.Run`."""
    dataset, curve = run.dataset, None
    if "curve" in dataset.files:
        curve = read_curve(dataset.files["curve"])
    return build_specimen(
        dataset.name,
        grains=run.read("features"),
        grain_boundaries=run.read("boundaries"),
        labels=run.read("labels"),
        traces=run.read("traces"),
        candidates=run.read("candidates"),
        material=dataset.material(),
        load=dataset.load,
        phase=dataset.phase().name,
        cp=run.read("cp_baseline") if run.has("cp_baseline") else None,
        curve=curve,
        points=(run.read_map().xy, run.read("pixels")["grain"]),
    )
