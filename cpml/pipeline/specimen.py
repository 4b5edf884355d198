"""The specimen that the models see, from the files that the notebooks of a run wrote."""

from cpml.datasets.curve import read_curve
from cpml.models.specimen.motions import measured_motions
from cpml.models.specimen.specimen import Specimen, build_specimen
from cpml.plasticity.laws.thermal.over_temperature import at_conditions


def specimen_of(run, *, motions: bool = False, reports: bool = False) -> Specimen:
    """Specimen of the phase that a notebook is about from what notebooks 02 and 03 wrote for a `cpml.Run`;
    its strengths are those at the temperature and the rate of the test.

    Parameters
    ----------
    motions : with the rotations and strains of the grains that were measured, where there are any
    reports : with what every source said of a grain beside its lines and twins (`all_labels`)
    """
    dataset, curve = run.dataset, None
    material = dataset.material()
    if dataset.load is not None:  # else build_specimen says what is missing
        material = at_conditions(material, dataset.load.temperature, dataset.load.rate)
    if "curve" in dataset.files:
        curve = read_curve(dataset.files["curve"])
    ebsd_map, grain = run.read_map(), run.read("pixels")["grain"]
    return build_specimen(
        dataset.name,
        grains=run.read("features"),
        grain_boundaries=run.read("boundaries"),
        labels=run.read("labels"),
        traces=run.read("traces"),
        candidates=run.read("candidates"),
        material=material,
        load=dataset.load,
        phase=dataset.phase().name,
        cp=run.read("cp_baseline") if run.has("cp_baseline") else None,
        curve=curve,
        points=(ebsd_map.xy, grain),
        free_surface=dataset.free_surface,
        motions=_motions(run, ebsd_map, grain) if motions else None,
        reports=run.read("all_labels") if reports else None,
    )


def _motions(run, ebsd_map, grain):
    """Rotations from the maps of the steps, strains from the fields of displacements."""
    from cpml.datasets.strain_steps import step_gradients

    rotations = run.read("step_rotations") if run.has("step_rotations") else None
    gradients = step_gradients(run.dataset, ebsd_map, grain) if run.dataset.has("grain-strains") else None
    return measured_motions(rotations, gradients, load=run.dataset.load)
