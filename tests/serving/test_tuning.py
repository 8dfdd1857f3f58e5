"""Choosing a configuration: the search, the choice, and the whole with TorchServe."""

import math
from pathlib import Path

import pytest

import maas
from maas.archive import Deployment, read_archive
from maas.cli import main
from maas.cli._tune_serving import duration
from maas.errors import DataError, ServingError
from maas.serving import ServingTuning, tune_serving
from maas.serving._load import Measured, Quantiles
from maas.serving._tuning import Stage, bodies_of, longest_seconds, settings
from maas.serving._tuning_page import tuning_page
from maas.serving._tuning_search import highest_rate
from maas.serving._tuning_trial import Setting, Trial


@pytest.mark.parametrize("start", [1.0, 90.0, 1000.0, 50_000.0])
def test_the_search_ends_close_below_the_limit(start: float) -> None:
    asked: list[float] = []

    def holds(rate: float) -> bool:
        asked.append(rate)
        return rate <= 1000

    found = highest_rate(holds, start, tries=30)
    assert found is not None
    assert 1000 / 1.08 <= found <= 1000
    assert len(asked) <= 20


def test_the_search_where_nothing_holds_or_all_does() -> None:
    assert highest_rate(lambda rate: False, 500, tries=30) is None
    assert highest_rate(lambda rate: True, 500, tries=4) == 4000


def measured(rate: float | None, p99: float, *, within: float = 1.0, p50: float = 0.002) -> Measured:
    latency = Quantiles(1000, p50, p99, p99)
    return Measured(rate, 1.0, 1000, round(1000 * within), latency, {"200": latency}, 0.0, 1)


def trial(workers: int, goodput: int, *, alone: float, stage: int = 2) -> Trial:
    point = measured(goodput, 0.04)
    point = Measured(**{**vars(point), "requests": goodput, "within": goodput})
    return Trial(Setting(workers, 1, 16, 1), 0.05, measured(None, alone, p50=alone), [point], stage=stage)


def test_the_most_answers_in_time_win_and_among_equals_the_quickest_alone() -> None:
    found = ServingTuning("wine", 0.05, [trial(1, 1000, alone=0.005), trial(2, 970, alone=0.002)], stage=2)
    assert found.chosen is found.trials[1]
    found.trials.append(trial(3, 1200, alone=0.03))
    assert found.chosen is found.trials[2]
    found.trials.append(trial(4, 5000, alone=0.001, stage=0))  # measured for a short time only
    assert found.chosen is found.trials[2]
    found.stage = 0  # stopped before all that were left were measured for long
    assert found.chosen is found.trials[3]
    deployment = found.trials[2].deployment()
    assert (deployment.maxWorkers, deployment.threads, deployment.jobQueueSize) == (3, 1, 96)  # two batches a worker
    assert trial(1, 4000, alone=0.001).deployment().jobQueueSize == 100  # what is answered in half of the 50 ms


def test_a_rate_holds_only_where_all_but_a_hundredth_are_in_time() -> None:
    some = Trial(
        Setting(1, 1, 1, 1), 0.05, measured(None, 0.003), [measured(100, 0.04), measured(200, 0.06, within=0.98)]
    )
    assert some.best is some.points[0]
    none = Trial(Setting(1, 1, 1, 1), 0.05, measured(None, 0.07), [measured(100, 0.06, within=0.9)])
    found = ServingTuning("wine", 0.05, [none])
    assert found.chosen is None
    assert "the best p99 seen is 60 ms, at 100/s, with workers 1" in found.why_none()
    assert "No configuration answers 99 %" in tuning_page(found)
    assert found.to_json()["chosen"] is None


def test_the_page_draws_failed_rates_at_the_top() -> None:
    one = trial(1, 1000, alone=0.005)
    one.points.append(measured(2000, math.inf, within=0.5))
    page = tuning_page(ServingTuning("wine", 0.05, [one], interrupted=True))
    assert "1,000 requests a second are answered, 99 % of them within 50 ms" in page
    assert "polyline" in page
    assert "stopped before all" in page
    assert "inf" not in page.split("</style>")[1]


def test_settings_leave_out_what_makes_no_difference() -> None:
    found = settings([1], [1], [1, 8], [2, 1])
    assert found == [Setting(1, 1, 1, 1), Setting(1, 1, 8, 1), Setting(1, 1, 8, 2)]
    assert longest_seconds(3, 0.05, 5) < longest_seconds(30, 0.05, 5) < math.inf
    with pytest.raises(ServingError, match=r"`batch_sizes` must be positive integers, at least one, got '\[0\]'"):
        settings(None, None, [0], [1])
    with pytest.raises(ServingError, match="there are no rows to send"):
        bodies_of([])


@pytest.mark.parametrize(("text", "seconds"), [("50ms", 0.05), ("0.05s", 0.05), ("1.5 s", 1.5), ("2s", 2.0)])
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["50", "50us", "ms", "-5ms", "0ms", "nan s", "1e3ms", "5 minutes", ""])
def test_a_duration_that_is_none(text: str) -> None:
    with pytest.raises(DataError, match=r"wants a time above 0 with its unit, ms or s, such as 50ms or 0\.05s, got"):
        duration(text)


def test_what_cannot_be_tuned(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ServingError, match=r"has no archive beer\.mar, there are cancer, wine"):
        tune_serving(store, "beer", slo_seconds=1)
    with pytest.raises(ServingError, match="must be above 0, got 0 and 5"):
        tune_serving(store, "wine", slo_seconds=0)
    assert main(["tune-serving", "wine", "--store", str(store), "--slo-p99", "50"]) == 2
    assert "such as 50ms or 0.05s, got '50'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["tune-serving", "wine", "--slo-p99", "50ms", "--workers", "1,0"])
    assert "wants positive integers with commas between, such as 1,2, got '1,0'" in capsys.readouterr().err


ONE = ["--workers", "1", "--threads", "1", "--batch-size", "8", "--max-batch-delay-ms", "1"]


def test_a_model_is_tuned_and_packaged_so(
    store: Path,
    wine_artifact: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("maas.serving._tuning.STAGES", [Stage(1.0, 2, 0.0)])
    output = tmp_path / "tuned"
    command = ["tune-serving", "wine", "--store", str(store), "--slo-p99", "2s", "--seconds", "0.3", *ONE]
    assert main([*command, "--output", str(output)]) == 0
    said = capsys.readouterr().out
    assert "1 configurations on" in said
    assert f"maas package ARTIFACT --name wine --config {output}/model-config.yaml" in said
    assert {file.name for file in output.iterdir()} == {"tuning.html", "tuning.json", "model-config.yaml"}
    package = ["package", str(wine_artifact), "--store", str(tmp_path), "--config", str(output / "model-config.yaml")]
    assert main(package) == 0
    found = read_archive(tmp_path / "wine.mar").deployment
    assert found == Deployment.from_yaml((output / "model-config.yaml").read_text())
    assert (found.minWorkers, found.maxWorkers, found.batchSize, found.threads) == (1, 1, 8, 1)


def test_where_nothing_is_in_time_it_says_the_best_that_was_seen(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["tune-serving", "cancer", "--store", str(store), "--slo-p99", "0.001ms", *ONE]
    assert main([*command, "--output", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "no configuration answers 99 % within 0.001ms: the best p99 seen is" in said
    assert "by a lone client" in said
    assert not (tmp_path / "model-config.yaml").exists()


def test_a_config_that_is_none(wine_artifact: Path, tmp_path: Path) -> None:
    with pytest.raises(maas.MaasError, match=r"`config` .*nowhere\.yaml cannot be read"):
        maas.package(wine_artifact, store=tmp_path, config=tmp_path / "nowhere.yaml")
