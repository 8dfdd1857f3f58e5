"""What the handler counts, on TorchServe's metrics port: the numbers, their names, and who asks for them."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import yaml

import maas
from maas.data import Rows
from maas.metrics import Drift, distribution
from maas.schema import Field, Schema
from maas.serving import Server
from maas.serving._drift import FEWEST_ROWS, WINDOW_SECONDS, ServedDrift, drift_of
from maas.serving._metrics import Emitter, labels, start_emitting, worker_name
from maas.serving._settings import METRICS_CONFIG
from maas.serving._tally import PHASES, SECONDS, GenerationTally, Histogram, Tally
from maas.serving.protocols import KINDS, Identity

DOCS = Path(__file__).parents[2] / "docs"
IDENTITY = Identity("wine", "1.0", "ab" * 32)
Series = dict[tuple[str, frozenset[tuple[str, str]]], float]
SAMPLE = re.compile(r"^([a-zA-Z_]+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
# TorchServe's own pattern of a metric's line, out of org.pytorch.serve.metrics.Metric of 0.12.0.
LINE = re.compile(
    r"\s*([\w\s]+)\.([\w\s]+):([0-9\-,.e]+)\|#([^|]*)(\|#type:([^|,]+))?\|#hostname:([^,]+),([^,]+)(,(.*))?"
)


def scrape(server: Server) -> tuple[Series, set[str]]:
    """Every series of the endpoint, without its hostname, and every name that the endpoint declares."""
    text = httpx.get(server.metrics_url, trust_env=False).text
    found: Series = {}
    for name, own, value in SAMPLE.findall(text):
        pairs = re.findall(r'(\w+)="([^"]*)"', own)
        found[name, frozenset(pair for pair in pairs if pair[0].lower() != "hostname")] = float(value)
    return found, set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))


def total(series: Series, name: str, **wanted: str) -> float:
    """The sum over workers."""
    chosen = [value for (one, own), value in series.items() if one == name and own >= set(wanted.items())]
    assert chosen, f"no {name} {wanted}"
    return sum(chosen)


def quiet(server: Server) -> Series:
    """The endpoint's series once it has told of all that was asked before."""
    while True:
        before, _ = scrape(server)
        time.sleep(2.0)
        now, _ = scrape(server)
        if {key: now[key] for key in before if key[0].endswith("_total")}.items() <= before.items():
            return now


def settled(server: Server, name: str, value: float, **wanted: str) -> Series:
    """The endpoint's series once a counter has reached a value: the handler tells of it once a second."""
    deadline = time.monotonic() + 10
    while (now := total(scrape(server)[0], name, **wanted)) < value and time.monotonic() < deadline:
        time.sleep(0.1)
    assert now == value
    return scrape(server)[0]


def test_the_endpoint_counts_what_was_asked(server: Server, http: httpx.Client, cancer_model: maas.Model) -> None:
    own = {"model_name": "cancer", "model_version": "2.1"}
    rows = cancer_model.preprocess.examples(3)
    http.post("/predictions/cancer", json=rows[0])
    before = quiet(server)
    for _ in range(5):
        assert http.post("/predictions/cancer", json=rows[0]).status_code == 200
    assert http.post("/predictions/cancer", json={"instances": rows * 2}).status_code == 200
    assert http.post("/predictions/cancer", json={"instances": [rows[0], {}]}).status_code == 422
    assert http.post("/predictions/cancer", content=b"{").status_code == 400
    assert http.post("/predictions/cancer", content=b"").status_code == 400
    after = settled(server, "maas_requests_total", total(before, "maas_requests_total", **own) + 9, **own)

    def change(name: str, **more: str) -> float:
        return total(after, name, **own, **more) - total(before, name, **own, **more)

    assert change("maas_rows_total") == 5 + 6 + 2
    errors = {kind: change("maas_errors_total", kind=kind) for kind in KINDS}
    assert {kind: count for kind, count in errors.items() if count} == {"bad-row": 1, "not-json": 1, "empty": 1}
    assert change("maas_request_seconds_count") == 9
    assert change("maas_request_seconds_bucket", le="+Inf") == 9
    assert change("maas_batch_requests_sum") == 9
    batches = change("maas_batch_requests_count")
    assert 1 <= batches <= 9
    assert change("maas_batch_requests_bucket", le="1") <= change("maas_batch_requests_bucket", le="8") == batches
    for phase in PHASES:
        assert change("maas_phase_seconds_count", phase=phase) == batches
    seconds = sum(change("maas_phase_seconds_sum", phase=phase) for phase in PHASES)
    assert 0 < seconds <= change("maas_request_seconds_sum") + 1e-6
    torchserve = {"model_name": "cancer"}
    asked = total(after, "ts_inference_requests_total", **torchserve)
    assert asked - total(before, "ts_inference_requests_total", **torchserve) == 9
    digest = http.get("/predictions/cancer", headers={"Accept": "application/vnd.maas.identity+json"}).json()["digest"]
    assert total(after, "maas_model_info", **own, digest=digest) == 1
    assert time.time() - total(after, "maas_worker_seen_timestamp_seconds", **own) < 60
    assert total(after, "maas_worker_memory_bytes", **own) > 1e8
    assert total(after, "maas_worker_starts_total", **own) >= 1
    workers = {worker["id"] for worker in server.manage("/models/cancer")[0]["workers"]}
    told = {dict(label)["worker"] for name, label in after if name == "maas_rows_total" and label >= set(own.items())}
    assert told == workers
    assert "[METRICS]" not in (server.logs / "model_log.log").read_text()


def test_drift_is_told_of_served_rows(server: Server, http: httpx.Client, wine_split: tuple[Rows, Rows]) -> None:
    rows = [{**row, "alcohol": 99.0} for row in wine_split[0].to_dicts()]
    for _ in range(6):
        assert http.post("/predictions/wine", json={"instances": rows}).status_code == 200
    deadline = time.monotonic() + 45  # it is told of each 30 s
    while time.monotonic() < deadline:
        series, _ = scrape(server)
        if any(name == "maas_drift_psi" and ("model_name", "wine") in own for name, own in series):
            break
        time.sleep(0.2)
    assert total(series, "maas_drift_rows", model_name="wine") >= FEWEST_ROWS
    # How far depends on what other tests asked this server before; tests/metrics/test_drift.py has the numbers.
    told = {dict(own)["field"] for name, own in series if name == "maas_drift_psi" and ("model_name", "wine") in own}
    assert told == set(rows[0])


@pytest.mark.parametrize("page", ["grafana/maas.json", "metrics.md"])
def test_a_page_names_no_metric_that_the_endpoint_lacks(page: str, server: Server) -> None:
    _, declared = scrape(server)
    text = (DOCS / page).read_text()
    if page.endswith(".json"):
        panels = json.loads(text)["panels"]
        questions = [target["expr"] for panel in panels for target in panel["targets"]]
        assert len(panels) == len({panel["id"] for panel in panels}) == 16
    else:
        questions = re.findall(r"```promql\n(.*?)```", text, re.DOTALL)
    named = set(re.findall(r"\b(?:maas|ts)_[a-z_]+\b", "\n".join(questions)))
    assert named
    assert named <= declared


def test_every_metric_is_declared_told_of_and_documented() -> None:
    declared = yaml.safe_load(METRICS_CONFIG.read_text())
    schema = Schema((Field("colour", "categorical", "label"),))
    column = np.array(["red", "blue"] * FEWEST_ROWS, object)
    emitted = Emitted(ServedDrift(schema, distribution(schema, {"colour": column})), GenerationTally(8, 1024))
    emitted.drift.add({"colour": np.array(["red", "pink"] * FEWEST_ROWS, object)}, np.arange(2 * FEWEST_ROWS))
    found = {(kind, name): tuple(own) for kind, name, _, own in emitted()}
    assert [value for _, name, value, _ in emitted(60.0) if name == "maas_drift_unknown_ratio"] == [0.5]
    wanted = {
        (kind.upper(), one["name"]): tuple(one["dimensions"])
        for kind, metrics in declared["model_metrics"].items()
        for one in metrics
    }
    assert found == wanted
    page = (DOCS / "metrics.md").read_text()
    for metrics in (*declared["model_metrics"].values(), *declared["ts_metrics"].values()):
        for one in metrics:
            assert f"`{re.sub('_(bucket|sum|count)$', '', one['name'])}`" in page
    assert set(re.findall(r"`(decode|prepare|forward|encode)`", page)) == set(PHASES)
    assert f"{FEWEST_ROWS} it tells" in page
    assert f"after {WINDOW_SECONDS / 60:.0f} minutes" in page


class Emitted:
    """An emitter without a server, and its lines as TorchServe takes them apart."""

    def __init__(self, drift: ServedDrift, generation: GenerationTally | None = None) -> None:
        self.drift, self.tally = drift, Tally(generation)
        self.written: list[str] = []
        self.now = 0.0
        self.emitter = Emitter(self.tally, IDENTITY, "9000", drift, self.written.append)

    def __call__(self, seconds: float = 1.0) -> list[tuple[str, str, float, dict[str, str]]]:
        """Type, name, value and labels of what is emitted so many seconds later."""
        self.written.clear()
        self.now += seconds
        self.emitter.emit(self.now)
        found = []
        for line in "".join(self.written).splitlines():
            assert line.startswith("[METRICS]")
            matched = LINE.fullmatch(line.removeprefix("[METRICS]"))
            assert matched, line
            own = [one.split(":") for one in matched[4].split(",")]
            assert all(len(one) == 2 and all(one) for one in own), line
            found.append((matched[6], matched[1], float(matched[3]), dict(own)))
        return found


def served(model: maas.Model, count: int) -> tuple[dict[str, Any], np.ndarray[Any, Any]]:
    """Columns of rows, and the positions of the good ones, which all are."""
    prepared = model.prepare(model.preprocess.examples(count))
    return dict(prepared.columns), prepared.kept


@pytest.fixture
def emitted(wine_model: maas.Model) -> Emitted:
    drift = drift_of(wine_model)
    assert drift is not None
    return Emitted(drift)


def test_counters_are_told_what_was_added(emitted: Emitted) -> None:
    first = emitted()
    assert {name: value for _, name, value, _ in first if name.endswith("_total")} == {
        "maas_worker_starts_total": 1, "maas_requests_total": 0, "maas_rows_total": 0, "maas_errors_total": 0
    }  # fmt: skip
    assert emitted() == []
    emitted.tally.batch(16, 40, (0.001, 0.002, 1e-7, 0.004))
    emitted.tally.errors["empty"] += 2
    second = emitted()
    told = {(name, own.get("kind"), own.get("phase"), own.get("le")): value for _, name, value, own in second}
    assert told["maas_requests_total", None, None, None] == 16
    assert told["maas_rows_total", None, None, None] == 40
    assert told["maas_errors_total", "empty", None, None] == 2
    assert told["maas_phase_seconds_sum", None, "forward", None] == 1e-7
    assert told["maas_phase_seconds_sum", None, "encode", None] == 0.004
    assert told["maas_request_seconds_sum", None, None, None] == pytest.approx(16 * 0.0070001)
    assert ("maas_request_seconds_bucket", None, None, "0.005") not in told
    assert told["maas_request_seconds_bucket", None, None, "0.01"] == 16
    assert told["maas_batch_requests_bucket", None, None, "16"] == 1
    assert ("maas_batch_requests_bucket", None, None, "8") not in told
    emitted.tally.batch(1, 1, (0.0, 0.0, 0.0, 0.0))
    assert [value for _, name, value, _ in emitted() if name == "maas_requests_total"] == [1]


def test_buckets_are_numpys_histogram() -> None:
    values = np.random.default_rng(0).lognormal(-5, 2, 1000)
    histogram = Histogram(SECONDS)
    for value in values.tolist():
        histogram.add(value)
    wanted, _ = np.histogram(values, [-np.inf, *SECONDS, np.inf])
    assert histogram.counts == wanted.tolist()
    assert histogram.sum == pytest.approx(values.sum())
    edge = Histogram((1.0, 2.0))
    edge.add(1.0)
    assert edge.counts == [1, 0, 0]  # less or equal, as Prometheus counts


def test_signs_of_life_come_every_ten_seconds(emitted: Emitted) -> None:
    seen = [[name for kind, name, _, _ in emitted(5.0) if kind == "GAUGE"] for _ in range(4)]
    gauges = ["maas_model_info", "maas_worker_seen_timestamp_seconds", "maas_worker_memory_bytes"]
    assert seen == [gauges, [], gauges, []]


def drift_told(emitted: Emitted, seconds: float = 1.0) -> dict[str, float]:
    return {own["field"]: value for _, name, value, own in emitted(seconds) if name == "maas_drift_psi"}


def test_drift_is_that_of_the_rows_that_were_added(emitted: Emitted, wine_model: maas.Model) -> None:
    columns, rows = served(wine_model, FEWEST_ROWS + 99)
    rows = rows[:-100]
    emitted.drift.add(columns, rows[:200])
    assert drift_told(emitted) == {}
    emitted.drift.add(columns, rows[200:])
    assert drift_told(emitted) == {}  # 499
    emitted.drift.add(columns, np.array([len(rows)]))
    reference = Drift(wine_model.schema, wine_model.card["data"]["distribution"])
    reference.add(columns, np.arange(FEWEST_ROWS))
    assert drift_told(emitted) == pytest.approx(reference.stability(), abs=1e-9)
    emitted.drift.add(columns, rows)
    assert drift_told(emitted, 15.0) == {}  # not yet 30 seconds
    reference.add(columns, rows)
    assert drift_told(emitted, 15.0) == pytest.approx(reference.stability(), abs=1e-9)


def test_after_its_window_drift_begins_anew(emitted: Emitted, wine_model: maas.Model) -> None:
    columns, rows = served(wine_model, FEWEST_ROWS)
    emitted.drift.add(columns, rows)
    before = drift_told(emitted)
    emitted.drift.add({**columns, "alcohol": columns["alcohol"] + 100}, rows)
    assert drift_told(emitted, WINDOW_SECONDS + 1)["alcohol"] > before["alcohol"]
    assert [value for _, name, value, _ in emitted(31.0) if name == "maas_drift_rows"] == [FEWEST_ROWS]


def test_of_many_rows_a_sample_is_kept(wine_model: maas.Model) -> None:
    reference = wine_model.card["data"]["distribution"]
    drift = ServedDrift(wine_model.schema, reference)
    columns, rows = served(wine_model, 1500)
    for _ in range(100):
        drift.add(columns, rows)
    drift.count(0.0)
    first = drift.told()
    drift.add(columns, rows)
    drift.count(1.0)
    second = drift.told()
    assert (first and first[0], second and second[0]) == (2048, 2048 + 1500)


@pytest.mark.parametrize("card", [{}, {"data": None}, {"data": {"distribution": {"alcohol": {"edges": "x"}}}}])
def test_a_card_without_a_distribution_is_served_all_the_same(
    card: dict[str, Any], wine_artifact: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = maas.load(wine_artifact)
    model.card = card
    assert drift_of(model) is None
    assert ("no drift is counted" in caplog.text) == bool(card.get("data"))


def test_without_drift_all_else_is_told() -> None:
    written: list[str] = []
    Emitter(Tally(), IDENTITY, "9000", None, written.append).emit(0.0)
    assert "maas_requests_total" in written[0]
    assert "drift" not in written[0]


def test_labels_hold_nothing_that_takes_a_line_apart() -> None:
    assert labels(field="a,b:c|d#e\nf", digest="") == "field:a_b_c_d_e_f,digest:_"
    assert labels(field="od280/od315 größe \ud800") == "field:od280/od315 größe _"
    assert labels(field="x" * 1000) == "field:" + "x" * 200


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["worker.py", "--sock-type", "unix", "--sock-name", "/tmp/.ts.sock.9003", "--metrics-config", "x"], "9003"),
        (["worker.py", "--sock-type", "tcp", "--port", "9004"], "9004"),
    ],
)
def test_a_worker_is_called_as_torchserve_calls_it(arguments: list[str], name: str) -> None:
    assert worker_name(arguments) == name


class Declares:
    """A context with the metrics that a `metrics_config` declares."""

    def __init__(self, *keys: str) -> None:
        self.metrics = self
        self.cache_keys: Callable[[], tuple[str, ...]] = lambda: keys


@pytest.mark.parametrize("context", [object(), Declares("gauge:HandlerTime")])
def test_nothing_is_emitted_that_torchserve_would_drop(context: object) -> None:
    assert not start_emitting(context, Tally(), IDENTITY, None)


def test_a_failure_ends_the_metrics_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    def broken(lines: str) -> None:
        raise OSError("the pipe is gone")

    Emitter(Tally(), IDENTITY, "9000", None, broken).run()
    assert "metrics of this worker end here" in caplog.text
