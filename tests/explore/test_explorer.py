"""The map to click on: cards say what is known of made-up grains, clicks find them, sliders move the map."""

import json

import numpy as np
import pandas as pd
import pytest
from matplotlib.backend_bases import MouseEvent

import cpml
from cpml.crystallography.rotations import axis_angle_to_quaternion
from cpml.crystallography.schmid import schmid_factors
from cpml.crystallography.slip_traces import slip_traces
from cpml.crystallography.twinning import twin_crystal_to_sample
from cpml.errors import CpmlError, ParameterError
from cpml.explore import Card, GrainExplorer, Section, Survey, Table
from cpml.explore.map_figure import edges
from cpml.load import Load
from cpml.microscopy.maps.ebsd_map import EbsdMap
from support.maps import MAGNESIUM, about_z, square_map

SMALL = pytest.approx
TILTED = axis_angle_to_quaternion([0, 1, 0], np.radians(90.0))  # c along x, the axis of the load
LOAD = Load.from_dict({"kind": "tension", "axis": "x"})


def labels() -> np.ndarray:
    """Grain 1 on the left with a lamella (2) in it, 3 and 4 on the right, 7 degrees apart."""
    label = np.ones((12, 20), int)
    label[:, 4:6] = 2
    label[:6, 10:] = 3
    label[6:, 10:] = 4
    return label


@pytest.fixture(scope="module")
def systems():
    from cpml.crystallography import load_material

    return load_material("magnesium").systems()


@pytest.fixture
def ebsd(systems):
    variant = np.flatnonzero(systems.twin)[0]
    twin = twin_crystal_to_sample(TILTED[None], systems.plane[variant])[0]
    return square_map(labels(), np.stack([TILTED, twin, *about_z(10.0, 17.0)]), phase=MAGNESIUM, step=0.5)


@pytest.fixture
def run(describe, output, systems):
    """A run whose only trace lies along a prismatic plane of the grain at the upper right."""
    folder = describe(
        phases=[{"name": "Magnesium", "lattice": "hcp", "material": "magnesium", "hex_x_axis": "a"}],
        files={"ebsd": "map.ctf", "traces": "traces.csv"},
        segmentation={"threshold": 5.0, "min_pixels": 1},
    ).parent
    plane = systems.plane_names.index("prismatic (01-10)")
    angle = slip_traces(about_z(10.0), systems).angle_deg[0, plane]
    (folder / "traces.csv").write_text(f"x_um,y_um,angle_deg\n7.5,1.5,{angle + 1}\n")
    return cpml.Run("00_explore", {"dataset": str(folder / "dataset.yml"), "seed": 0})


@pytest.fixture
def explorer(run, ebsd):
    return GrainExplorer(Survey(run, ebsd))


def facts(card: Card, section: str) -> dict[str, str]:
    return dict(card.section(section).facts)


def rows(card: Card, section: str, table: int = 0) -> list[list[str]]:
    return [[str(cell) for cell in row] for row in card.section(section).tables[table].rows]


def test_grains_are_those_that_were_made(explorer):
    """Parent and twin are one grain, so three of five regions: a lamella cuts its parent in two."""
    assert len(explorer.situation.grains) == 3
    assert [explorer.grain_at(x, y) for x, y in ((1.0, 1.0), (2.5, 1.0), (7.0, 1.0), (7.0, 5.0))] == [
        1,
        1,
        2,
        3,
    ]
    assert explorer.grain_at(-3.0, 1.0) is None
    assert len(explorer.situation.twins.table) == 5


def test_orientation_and_size(explorer):
    card = explorer.card(1)
    orientation = facts(card, "Orientation")
    assert orientation["along the load axis"] == "[0001], 0.0° away"
    assert orientation["c axis to the load axis"] == "0.0°"
    assert facts(explorer.card(2), "Orientation")["c axis to the load axis"] == "90.0°"
    # 120 points of 0.5 um x 0.5 um
    assert facts(card, "Size and place")["area"] == "30 µm² (120 points)"
    assert "rim of the map" in facts(card, "Size and place")


def test_twins_are_named_with_their_share(explorer, systems):
    card = explorer.card(1)
    assert rows(card, "Twins")[0][:3] == [systems.names[np.flatnonzero(systems.twin)[0]], "1", "20.0 %"]
    assert explorer.card(2).section("Twins").text == "none found"


def test_neighbours_with_angle_kind_and_transfer(explorer):
    """Grains 2 and 3 are turned by 7 degrees about z, normal and direction of a prismatic system alike:
    m' = cos 7 cos 7.
    """
    found = {row[0]: row[2:] for row in rows(explorer.card(2), "Neighbours")}
    assert found["grain 3"] == ["7.0°", "low angle", f"{np.cos(np.radians(7)) ** 2:.2f}"]
    assert found["grain 1"][1] == "random"


def test_lines_with_their_candidates(explorer):
    line, *_ = rows(explorer.card(2), "Lines on the surface")
    assert line[1:4] == ["traces", "prismatic (01-10)", "1.0°"]
    assert explorer.card(3).section("Lines on the surface").text == "nobody looked for lines in this grain"


def test_schmid_factors_follow_the_load(explorer, systems):
    for kind, angle, stress in (
        ("tension", 0.0, np.diag([1.0, 0, 0])),
        ("tension", 90.0, np.diag([0, 1.0, 0])),
        ("compression", 45.0, -np.array([[0.5, -0.5, 0], [-0.5, 0.5, 0], [0, 0, 0]])),  # y points down
        ("shear", 0.0, np.array([[0, 1.0, 0], [1.0, 0, 0], [0, 0, 0]])),
    ):
        explorer.move(kind=kind, angle=angle)
        answer = explorer.situation.answers[1]
        q = explorer.situation.grains[["qw", "qx", "qy", "qz"]].to_numpy()
        np.testing.assert_allclose(answer.schmid, schmid_factors(systems, q, stress), atol=1e-12)


def test_shares_under_the_mean_stress_have_a_closed_form(explorer, systems):
    """|m / xi|^n over the sum of all, twins in their sense only."""
    explorer.move(scheme="sachs")
    answer, material = explorer.situation.answers[1], explorer.survey.materials[1]
    m = np.where(systems.twin, np.maximum(answer.schmid, 0), np.abs(answer.schmid))
    rate = (m / (material.strengths / material.strengths[0])[systems.family]) ** material.n
    np.testing.assert_allclose(answer.share, rate / rate.sum(1, keepdims=True), atol=1e-9)


def test_the_medium_is_that_of_the_mean_field(explorer):
    from cpml.plasticity import PowerLaw, mean_field

    situation = explorer.situation
    law = PowerLaw.from_material(explorer.survey.materials[1])
    field = mean_field(
        law,
        situation.grains[["qw", "qx", "qy", "qz"]].to_numpy(),
        weights=situation.grains["n_pixels"].to_numpy(float),
        loading=LOAD,
        scheme="affine",
    )
    # stresses to 1e-5, to the power of n = 20 or less
    np.testing.assert_allclose(situation.answers[1].share, field.activity.numpy(), atol=1e-3)


def test_strengths_decide_the_first_choice(explorer):
    """Tension along x, c along z: nothing on the basal plane, prismatic or pyramidal by their strengths."""
    explorer.move(strengths={"Magnesium": {"prismatic": 1.0, "pyramidal2_ca": 50.0}}, scheme="sachs")
    assert explorer.situation.of_grains("first_choice")[2] == "prismatic"
    assert explorer.card(2).section("What the law says").text.startswith("prismatic")
    explorer.move(strengths={"Magnesium": {"prismatic": 50.0, "pyramidal2_ca": 1.0, "twin_1012": 60.0}})
    assert explorer.situation.of_grains("first_choice")[2] == "pyramidal2_ca"
    explorer.set(strengths="equal")
    assert set(explorer.situation.strengths(1).values()) == {1.0}


def test_threshold_moves_boundaries_and_the_card_stays_where_it_was_clicked(explorer):
    explorer.click(7.0, 5.0)
    fine = len(explorer.drawn._lines.get_segments())
    assert explorer.grain_id == 3
    explorer.move(threshold=10.0)
    assert len(explorer.situation.grains) == 2
    assert len(explorer.drawn._lines.get_segments()) == fine - 1
    assert explorer.grain_id == 2 and explorer.current_card.title == "Grain 2"
    assert not explorer.situation.is_declared
    explorer.reset()
    assert explorer.situation.is_declared and explorer.grain_id == 3


def test_what_is_wrong_changes_nothing(explorer):
    before = repr(explorer)
    for wrong, message in (
        ({"threshold": 90.0}, "threshold 90"),
        ({"kind": "torsion"}, "load 'torsion'"),
        ({"scheme": "taylor"}, "scheme 'taylor'"),
        ({"strengths": {"Magnesium": {"basal": -1.0}}}, "positive"),
        ({"strengths": {"Magnesium": {"cubic": 1.0}}}, "cubic is not among"),
        ({"strengths": {"Iron": {"basal": 1.0}}}, "'Iron'"),
        ({"strengths": "learned"}, "--until 04"),
        ({"strengths": "mine"}, "literature, equal, learned"),
        ({"colouring": "taste"}, "colouring 'taste'"),
        ({"speed": 3}, "no slider 'speed'"),
    ):
        with pytest.raises(ParameterError, match=message):
            explorer.move(**wrong)
    with pytest.raises(ParameterError, match="the grains are 1 to 3"):
        explorer.card(9)
    assert repr(explorer) == before


def test_every_colouring_paints_every_point(explorer):
    for name in explorer.colourings:
        explorer.move(colouring=name)
        image = explorer.drawn._image.get_array()
        assert image.shape == (12, 20, 3) and np.isfinite(image).all()
    explorer.move(colouring="largest Schmid factor")
    low, high = (explorer.drawn._image.get_array()[row, 15] for row in (2, 9))
    assert not np.allclose(low, high)  # grains 2 and 3 lie differently to the load


def test_a_part_without_its_chapter_names_the_command(explorer, run):
    section = explorer.card(2).section("What F says, and why")
    assert section.command == f"python3 tasks.py run --dataset {run.address} --until 04"
    assert section.command in str(explorer.card(2)) and "--until 04" in explorer.card(2).html


def written(run, label) -> None:
    """What chapters 02 and 04 leave, for one grain."""
    run.write("pixels", {"grain": label, "fragment": label, "twinned": label > 9})
    target = {"grain_id": [2, 2], "mechanism": "slip", "family": ["prismatic", "basal"]}
    target["target"] = ["prismatic (01-10)", "basal (0001)"]
    run.write(
        "predictions", pd.DataFrame(target | {"p": [0.7, 0.1], "p_active": [0.9, 0.2], "model": "coupled"})
    )
    terms = {"mean": [0.5, 0.1], "grain": [0.25, 0.0], "collective": [0.125, 0.0], "neighbours": [0.1, 0.0]}
    sums = {"x": [0.975, 0.1], "scatter": [0.05, 0.05], "from_grain": [3, -1]}
    run.write("causes", pd.DataFrame(target | terms | sums))
    run.write("strengths", pd.DataFrame({"family": ["basal", "prismatic"], "ratio": [1.0, 2.5]}))


def test_what_f_says_and_why(run, ebsd):
    survey = Survey(run, ebsd)
    written(run, survey.twins(None).grain_label)
    explorer = GrainExplorer(survey)
    section = explorer.card(2).section("What F says, and why")
    assert [str(cell) for cell in section.tables[0].rows[0]] == ["prismatic (01-10)", "0.90", "0.70", "seen"]
    assert "gives 0.50 of its strength" in section.text and "from grain 3" in section.text
    assert section.tables[1].rows[0][1:] == ["0.50", "+0.25", "+0.12", "+0.10", "0.97 ± 0.05"]
    assert section.command.endswith("--until 05")
    explorer.move(strengths="learned")
    assert explorer.situation.strengths(1)["prismatic"] == 2.5


def test_results_of_another_segmentation_are_left_alone(run, ebsd):
    survey = Survey(run, ebsd)
    written(run, survey.twins(None).grain_label + 1)
    section = GrainExplorer(survey).card(2).section("What F says, and why")
    assert "another map or segmentation" in section.text and section.command.endswith("--until 04")


def test_without_a_load_the_card_says_so_and_tension_is_tried(describe, output, ebsd):
    path = describe(
        phases=[{"name": "Magnesium", "lattice": "hcp", "material": "magnesium", "hex_x_axis": "a"}],
        segmentation={"threshold": 5.0, "min_pixels": 1},
        load="unknown",
    )
    explorer = GrainExplorer(Survey(cpml.Run("00_explore", {"dataset": str(path)}), ebsd))
    assert explorer.situation.load_name == "tension along x (tried: none is declared)"
    assert explorer.card(2).section("What F says, and why").text == "it cannot be asked: the load is unknown"


def test_a_load_across_the_map_is_shown_as_declared(describe, output, ebsd):
    """No slider reaches it; another one can be tried, and left again."""
    path = describe(
        phases=[{"name": "Magnesium", "lattice": "hcp", "material": "magnesium", "hex_x_axis": "a"}],
        segmentation={"threshold": 5.0, "min_pixels": 1},
        load={"kind": "compression", "axis": "z", "assumed": True},
    )
    explorer = GrainExplorer(Survey(cpml.Run("00_explore", {"dataset": str(path)}), ebsd))
    panel = explorer.panel
    assert explorer.situation.load_name == "compression || z (assumed)"
    assert panel.kind.value == "as declared" and panel.angle.disabled
    panel.kind.value = "shear"
    assert explorer.situation.load.kind == "shear" and not panel.angle.disabled
    explorer.reset()
    assert explorer.situation.load is explorer.survey.dataset.load


def test_a_map_without_a_law_has_cards_and_no_answers(describe, output, ebsd):
    path = describe(
        phases=[{"name": "Magnesium", "lattice": "other"}], segmentation={"threshold": 5.0, "min_pixels": 1}
    )
    explorer = GrainExplorer(Survey(cpml.Run("00_explore", {"dataset": str(path)}), ebsd))
    assert explorer.situation.answers == {} and explorer.panel.strengths == {}
    assert not [name for name in explorer.colourings if name.startswith(("law", "F", "largest"))]
    explorer.move(kind="as declared", colouring="grains")
    card = explorer.card(2)
    assert "no law for this phase" in card.section("What the law says").text
    assert "no phase has a material" in card.section("What F says, and why").text
    assert card.section("Neighbours").tables[0].columns[-1] == "boundary"  # no slip systems, no m'


def test_texts_of_a_data_set_are_escaped():
    evil = "<script>alert(1)</script>"
    part = Section(evil, [(evil, evil)], evil, [Table([evil], [[evil]], evil)], evil, evil)
    html = Card(evil, evil, (1.0, 0.0, 0.5), [part]).html
    assert "<script" not in html and html.count("&lt;script&gt;") == 11


@pytest.mark.parametrize("grid", ["square", "hexagonal"])
def test_every_point_is_found_where_it_is_drawn(run, grid, ebsd):
    if grid == "hexagonal":
        row, column = np.divmod(np.arange(120), 12)
        xy = np.stack([column + 0.5 * (row % 2), row * np.sqrt(0.75)], axis=1)
        q = np.where((row < 5)[:, None], about_z(10.0), TILTED)
        ebsd = EbsdMap.from_points("hexagons", xy, q, np.ones(120, int), {1: MAGNESIUM})
    drawn = GrainExplorer(Survey(run, ebsd)).drawn
    assert [drawn.point_at(x, y) for x, y in ebsd.xy] == list(range(ebsd.n_pixels))


def test_edges_lie_between_cells_that_differ():
    """Their length is that of all cell sides with two labels; those inside a region are told apart."""
    cells = np.random.default_rng(3).integers(1, 4, (9, 14))
    found = edges(cells, (0.0, 14.0, 9.0, 0.0))
    sides = (cells[:, 1:] != cells[:, :-1]).sum() + (cells[1:] != cells[:-1]).sum()
    assert np.abs(found[:, 1] - found[:, 0]).sum() == sides
    inside = np.minimum(cells, 2)
    parts = [edges(cells, (0.0, 14.0, 9.0, 0.0), inside=inside), edges(inside, (0.0, 14.0, 9.0, 0.0))]
    assert sum(np.abs(part[:, 1] - part[:, 0]).sum() for part in parts) == sides


def test_executed_it_is_a_picture_with_words_that_repeat(explorer, monkeypatch):
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    bundle = explorer._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "image/png"} and bundle["image/png"].startswith(b"\x89PNG")
    assert bundle == explorer._repr_mimebundle_()
    assert "panel" not in vars(explorer)  # no widget was made


class Mouse:
    """A mouse over the canvas of a panel."""

    def __init__(self, panel, explorer):
        self.panel, self.ax = panel, explorer.drawn.ax

    def click(self, x_um: float, y_um: float) -> None:
        x, y = self.ax.transData.transform((x_um, y_um))
        event = MouseEvent("button_press_event", self.panel.canvas, x, y, button=1)
        self.panel.canvas.callbacks.process("button_press_event", event)


def test_in_a_front_end_a_click_opens_a_card(explorer, monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", "00_explore.ipynb")
    assert set(explorer._repr_mimebundle_()) == {"text/plain", "application/vnd.jupyter.widget-view+json"}
    panel = explorer.panel
    mouse = Mouse(panel, explorer)
    mouse.click(7.0, 1.0)
    assert "Grain 2" in panel.card.value and panel.grain.value == 2
    panel.canvas.toolbar.zoom()
    mouse.click(7.0, 5.0)
    assert "Grain 2" in panel.card.value  # the mouse was zooming
    panel.canvas.toolbar.zoom()
    mouse.click(7.0, 5.0)
    assert "Grain 3" in panel.card.value


def test_sliders_move_the_map_and_follow_it(explorer):
    panel = explorer.panel
    panel.threshold.value = 10.0
    assert len(explorer.situation.grains) == 2
    panel.angle.value = 90.0
    panel.kind.value = "compression"
    assert explorer.situation.load_name == "compression along y"
    panel.strengths["Magnesium"]["prismatic"].value = 2.0
    assert explorer.situation.strengths(1)["prismatic"] == SMALL(2.0)
    panel.equal.click()
    assert panel.strengths["Magnesium"]["prismatic"].value == SMALL(1.0)
    panel.colouring.value = "KAM"
    panel.scheme.value = "sachs"
    panel.grain.value = 2
    assert (explorer.colouring, explorer.settings.scheme, explorer.grain_id) == ("KAM", "sachs", 2)
    explorer.reset()
    assert (panel.threshold.value, panel.kind.value, panel.angle.value) == (5.0, "tension", 0.0)
    assert panel.learned.disabled and "--until 04" in panel.learned.tooltip


def test_an_error_is_one_line_under_the_map(explorer, monkeypatch):
    panel = explorer.panel

    def fails(**changes):
        raise CpmlError("no <b>luck</b>")

    monkeypatch.setattr(explorer, "move", fails)
    panel.threshold.value = 12.0
    assert "no &lt;b&gt;luck&lt;/b&gt;" in panel.status.value
    assert panel.threshold.value == 5.0  # as it was


def test_the_stored_notebook_has_no_widget_with_a_random_name():
    """It was executed where nobody can click."""
    path = cpml.paths.PACKAGE.parent / "notebooks" / "00_explore.ipynb"
    assert "widget-view" not in path.read_text(encoding="utf-8")
    assert "widgets" not in json.loads(path.read_text(encoding="utf-8"))["metadata"]
