"""Files of fitted models: read back as they were, or refused with the key named."""

import json

import pytest

from benchmarks.synthetic import synthetic_specimen
from cpml.errors import CpmlError
from cpml.models import CoupledClassifier

DRAWS = ("parameters", "numerics", "posterior_draws")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """(material, content of the file) of a model without footprints: its strengths are the literature's."""
    specimen = synthetic_specimen(8, labelled=False, prior_error=0.0).specimen
    path = tmp_path_factory.mktemp("model") / "model.json"
    CoupledClassifier(n_draws=8, scheme="sachs").fit([specimen]).save(path)
    return specimen.material, json.loads(path.read_text())


@pytest.fixture
def read(saved, tmp_path):
    """read(text) -> the model in a file of this text."""
    material, _ = saved

    def load(text):
        (tmp_path / "model.json").write_text(text)
        return CoupledClassifier.load(tmp_path / "model.json", material)

    return load


def changed(content, keys, value):
    """A copy with one value changed; ... removes it."""
    copy = json.loads(json.dumps(content))
    inner = copy
    for key in keys[:-1]:
        inner = inner[key]
    if value is ...:
        del inner[keys[-1]]
    else:
        inner[keys[-1]] = value
    return json.dumps(copy)


def test_what_was_saved_is_read(saved, read):
    _, content = saved
    model = read(json.dumps(content))
    assert model.vector_.tolist() == content["vector"]
    assert model.strengths_["strength_mpa"].tolist() == pytest.approx(content["strengths"]["strength_mpa"])
    assert set(model.strengths_) == set(content["strengths"])


@pytest.mark.parametrize(
    ("keys", "value", "told"),
    [
        (("format",), "cpml-coupled-0", "format: 'cpml-coupled-0', expected 'cpml-coupled-"),
        (("material",), "nickel", "material: 'nickel', expected 'titanium_cp'"),
        (("vector",), ..., "the file: expected the keys"),
        (("extra",), 1, "the file: expected the keys"),
        (("parameters", "scheme"), "tailor", "parameters.scheme: expected one of auto"),
        (("parameters", "edges"), 1, "parameters.edges: expected one of True, False"),
        (("parameters", "n_draws"), 10**9, "parameters.n_draws: expected a whole number from 1 to 1e"),
        (("parameters", "seed"), -1, "parameters.seed"),
        (("parameters", "extra"), 1, "parameters: expected the keys"),
        (("parameters", "numerics"), [], "parameters.numerics: expected the keys"),
        (DRAWS, 0, "parameters.numerics.posterior_draws: expected a whole number"),
        (DRAWS, True, "parameters.numerics.posterior_draws: expected a whole number"),
        (("families",), [], "families: expected a list"),
        (("families", 0), "octahedral", "families: expected each once, of"),
        (("families", 0), "prismatic", "families: expected each once, of"),
        (("rise", 0), 0.0, "rise[0]: expected a number from 0.001 to 1000"),
        (("frequency", 1), 1.5, "frequency[1]: expected a number from 0 to 1"),
        (("vector", 0), 1e3, "vector[0]: expected within 3 prior widths of"),
        (("vector", 0), "1", "vector[0]: expected a number"),
        (("vector", -1), 10**299, "]: expected a number"),
        (("vector", -1), 10**400, "a number of 401 digits"),
        (("strengths", "ratio", 0), 10**400, "a number of 401 digits"),
        (("vector",), [0.0], "vector: expected a list of"),
        (("covariance", 0, 1), 5.0, "covariance: expected a symmetric matrix"),
        (("covariance", 0, 0), -1.0, "covariance: expected no negative variance"),
        (("covariance", 0), [1.0], "covariance[0]: expected a list of"),
        (("strengths", "ratio", 0), 7.0, "strengths.ratio[0]: expected"),
        (("strengths", "family"), [], "strengths.family: expected a list of 3"),
    ],
)
def test_a_value_that_no_fit_gives_is_told_with_its_key(saved, read, keys, value, told):
    with pytest.raises(CpmlError) as caught:
        read(changed(saved[1], keys, value))
    message = str(caught.value)
    assert "model.json: " in message and told in message and "\n" not in message


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "not a saved coupled model"),
        ("[1]", "it holds a list"),
        ("{" * 100_000, "not a saved coupled model"),
        ("[" * 100_000, "not a saved coupled model"),
        ('{"frequency": NaN}', "NaN is no number"),
        ('{"format": 0.0, "format": 1.0}', "a key appears twice"),
        (" " * 10_000_001, "larger than 10 MB"),
    ],
)
def test_text_that_is_no_model_is_one_line(read, text, told):
    with pytest.raises(CpmlError, match=told) as caught:
        read(text)
    assert "\n" not in str(caught.value)


def test_a_cut_file_and_a_missing_one(saved, read, tmp_path):
    text = json.dumps(saved[1])
    for length in range(0, len(text), 97):
        with pytest.raises(CpmlError, match="not a saved coupled model"):
            read(text[:length])
    with pytest.raises(CpmlError, match=r"none\.json: not a saved coupled model \(No such file"):
        CoupledClassifier.load(tmp_path / "none.json", saved[0])
