"""The report on exported models as JSON and as a page."""

import json
import re

import pytest

from keras_deit.export.profile import Latency, Profile
from keras_deit.export.report import Limits, Report
from keras_deit.export.report_page import Examined, write_report

pytestmark = pytest.mark.backend_independent
pytest.importorskip("matplotlib", reason="the plots")
FACTS = {"weights": "runs/<b>mine</b>", "images": 64, "versions": {"keras": "3"}}
PERCENTILES = {"50": 1e-7, "90": 1e-6, "99": 2e-6, "100": 3e-6}


def examined(name, agrees=True, arithmetic="float"):
    differences = dict(largest_difference=3e-6, mean_difference=1e-7, difference_percentiles=PERCENTILES)
    shares = dict(agreement=0.995, accuracy=0.75, model_accuracy=0.875)
    report = Report(name, "out/a", 2_000_000, 64, **differences, **shares, limits=Limits(), agrees=agrees)
    latencies = (Latency(1, 4.0, 3.0, 6.0, 30), Latency(8, 20.0, 19.0, 25.0, 30))
    operators = [{"operator": "FULLY_CONNECTED", "arithmetic": arithmetic, "count": 9}]
    return Examined(report, Profile(latencies, operators, {"int8": 1_500_000}), {"class_names": ["犬"]})


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    exports = [examined("litert", agrees=False, arithmetic="quantized"), examined("onnx")]
    page = write_report(tmp_path_factory.mktemp("report"), exports, (Latency(1, 9.0, 8.0, 10.0, 30),), FACTS)
    return json.loads((page.parent / "export_report.json").read_text(encoding="utf-8")), page.read_text(
        encoding="utf-8"
    )


def test_the_file_has_every_figure(written):
    found, _ = written
    assert found["weights"] == FACTS["weights"]
    assert found["model_latencies"] == [{"batch_size": 1, "median": 9.0, "low": 8.0, "high": 10.0, "runs": 30}]
    litert, onnx = found["exports"]
    assert (litert["format"], litert["agrees"], onnx["agrees"]) == ("litert", False, True)
    assert litert["limits"] == {"difference": 1e-4, "agreement": None}
    assert litert["difference_percentiles"] == PERCENTILES
    assert [latency["median"] for latency in litert["latencies"]] == [4.0, 20.0]
    assert (litert["arithmetic"], onnx["arithmetic"]) == ({"quantized": 9}, {"float": 9})
    assert litert["metadata"] == {"class_names": ["犬"]}


def test_the_page_shows_the_figures_and_needs_no_network(written):
    _, page = written
    for text in (
        "<td>litert</td><td>2.00 MB</td><td>3.00e-06</td><td>1.00e-07</td><td>99.50%</td><td>75.00%</td>",
        "<td>4.00 (3.00 to 6.00)</td><td>20.00 (19.00 to 25.00)</td>",
        "<td>model in Keras</td><td></td><td></td><td></td><td></td><td>87.50%</td><td>9.00 (8.00 to 10.00)</td><td></td>",
        "NOT kept: do not use this export",
        "9 quantized; weights int8 1.50 MB",
        'name="viewport"',
    ):
        assert text in page
    assert page.count("data:image/svg+xml;base64,") == 3
    assert not re.findall(r"""(?:src|href)=["'](?!data:)""", page)
    assert "<script" not in page


def test_names_are_escaped(written):
    assert "runs/&lt;b&gt;mine&lt;/b&gt;" in written[1]
    assert "<b>" not in written[1]
