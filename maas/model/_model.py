"""The one inference path: raw rows in, answers out, for evaluation, batch scoring and serving alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from torch import nn

from maas import artifact
from maas.artifact import Artifact
from maas.errors import ArtifactError, DataError, FormatError, SkewError
from maas.metrics import Evaluation, Scores
from maas.model._ahead import ahead
from maas.model._explain import explained
from maas.model._fits import check_describes, check_fits, first_line
from maas.model._judge import evaluated, judging
from maas.model._precision import Lowered, check_precision, is_fast, is_vouched
from maas.model._prepared import Prepared, as_one, columns_of, in_parts, row_bytes_of
from maas.model._save import saved
from maas.model._stored import WRONG, parts_of, replay
from maas.model._vouch import vouched
from maas.nn import Recipe, steps_a_pass, threads, work_of, worth_threads
from maas.preprocess import Preprocess
from maas.schema import Schema
from maas.task import Answers, Batch, Task, rows_that_fit


class Model:
    """Learned preprocessing, network and task: what turns raw rows into answers.

    `maas.fit` and `maas.load` give one. A network trained elsewhere is wrapped by hand and goes the same way.

    Args:
        network: a torch module whose `forward` takes the tensors of `preprocess.outputs` by name and gives
            `task.num_outputs` numbers a row. It is put into evaluation mode.
        recipe: describes the network, with all arguments: what the artifact stores in place of code.
        schema: the fields of a row.
        preprocess: rows to tensors.
        task: outputs to answers.
        target: name of what is predicted.
        card: what is known about the model, in JSON values.

    Raises:
        RecipeError: the recipe does not describe this network.
        DataError: the parts do not fit together.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        recipe: Recipe,
        schema: Schema,
        preprocess: Preprocess,
        task: Task,
        target: str = "target",
        card: Mapping[str, Any] | None = None,
    ) -> None:
        check_describes(recipe, network.state_dict())
        self.network = network.eval()
        if any(isinstance(module, nn.Conv2d) for module in network.modules()):
            self.network.to(memory_format=torch.channels_last)
        self.recipe = recipe.bound()
        self.schema = schema
        self.preprocess = preprocess
        self.task = task.knowing(preprocess)
        self.target = target
        self.card = dict(card or {})
        self.digest: str | None = None  # of the artifact it was loaded from
        self.example: dict[str, Any] | None = None
        self._measured: tuple[Preprocess | None, int] = (None, 0)
        self._work, self._steps_a_pass = work_of(network), steps_a_pass(network)
        self._lowered: Lowered | None = None
        check_fits(self)

    def __repr__(self) -> str:
        return f"Model({self.recipe.kind}, {len(self.schema.fields)} fields -> {self.target} ({self.task.kind}))"

    @property
    def device(self) -> torch.device:
        """Where the network's parameters live."""
        return next((parameter.device for parameter in self.network.parameters()), torch.device("cpu"))

    def to(self, device: str | torch.device) -> Model:
        """Move the network; returns the model itself."""
        self.network.to(device)
        return self.set_precision(self.precision)

    @property
    def precision(self) -> str:
        """What the network computes in: "float32", which stands for the precision of its weights, or "bfloat16"."""
        return "float32" if self._lowered is None else "bfloat16"

    @property
    def answering(self) -> nn.Module:
        """The network that answers: the model's own, or what `set_precision` put beside it."""
        if self._lowered is None:
            return self.network
        return self._lowered.network if self.task.streams else self._lowered  # a session asks it for more than scores

    def set_precision(self, precision: str) -> Model:
        """Let all answers from now on be computed in "float32" or in "bfloat16"; returns the model itself.

        The network's own weights stay as they are: bfloat16 is a second network beside it. `vouch` says whether it
        holds its accuracy. Answers in bfloat16 also depend on their neighbours in a batch, by about 1 in 100.

        Raises:
            DataError: it is another precision, or the network computes in int8 and keeps to that.
        """
        check_precision(precision)
        stuck = [one.kind for one in self.recipe.transforms if not one.differentiable]
        if stuck and precision != "float32":
            raise DataError(
                f"a network that went through {stuck[0]!r} computes in integers and has no other precision; take the "
                f"model that it was made from"
            )
        self._lowered = None if precision == "float32" else Lowered(self.network)
        return self

    def prepare(self, rows: Any) -> Prepared:
        """Check rows and make them ready for the network. Bad rows are told, not raised.

        Args:
            rows: a sequence of mappings as a client sends them, `Rows`, a data frame, or, where the schema has
                one field, an array of shape (rows, *field.shape).

        Raises:
            DataError: `rows` is none of these, or lacks a column.
        """
        columns, errors = columns_of(self.schema, rows)
        length = len(columns[self.schema.names[0]])
        kept = np.arange(length)
        if errors:
            kept = np.delete(kept, list(errors))
        clean = columns if len(kept) == length else {name: column[kept] for name, column in columns.items()}
        inputs, failed = self.preprocess.apply(clean)
        if failed:
            errors = {**errors, **{int(kept[row]): error.at(int(kept[row])) for row, error in failed.items()}}
            good = np.array([place for place in range(len(kept)) if place not in failed], np.int64)
            inputs = {name: tensor[torch.from_numpy(good)] for name, tensor in inputs.items()}
            kept = kept[good]
        return Prepared(Batch(inputs), kept, errors, columns)

    def prepared(self, rows: Any) -> Iterator[Prepared]:
        """The rows made ready part by part, as many at once as `rows_at_once`; positions are among all the rows.

        What a handler does with more rows than a few:

            for part in model.prepared(rows):
                answers = model.task.join(model.stream(part.batch))  # of the rows at `part.kept`

        Within a part encoded images and sounds are decoded in as many threads as torch has. Where the network is on a
        GPU, the next part is made ready meanwhile; on the CPU it would take the cores that the network computes with,
        which is slower.

        Args:
            rows: as in `prepare`.

        Raises:
            DataError: as `prepare` does.
        """
        parts = in_parts(self.prepare, rows, self.rows_at_once)
        return parts if self.device.type == "cpu" else ahead(parts)

    @property
    def row_bytes(self) -> int:
        """What a prepared row takes at most."""
        measured, row_bytes = self._measured
        if measured is not self.preprocess:  # found once; a training may end with another preprocessing
            row_bytes = row_bytes_of(self.schema, self.preprocess.outputs)
            self._measured = self.preprocess, row_bytes
        return row_bytes

    @property
    def rows_at_once(self) -> int:
        """How many rows are prepared and go through the network at once: fewer where a row is large."""
        return min(rows_that_fit(self.row_bytes), self.task.most_rows)

    def stream(self, batch: Batch) -> Iterator[Answers]:
        """The answers to prepared rows, in order, part by part.

        Rows of very different lengths go through the network in several passes by length, where that pays.
        """
        if self.task.streams:  # rows of any length side by side, and none waits for another
            yield from self._run(batch)
            return
        size = self.rows_at_once
        for start in range(0, len(batch), size):
            part = batch[start : start + size] if len(batch) > size else batch
            if passes := part.passes(self._steps_a_pass):
                answers = self.task.join(self.task.join(self._run(part.take(rows))) for rows in passes)
                yield answers.take(torch.cat(passes).argsort().numpy())
            else:
                yield from self._run(part)

    @overload
    def predict(self, rows: Mapping[str, Any]) -> dict[str, Any]: ...
    @overload
    def predict(self, rows: Any) -> Answers: ...
    def predict(self, rows: Any) -> Any:
        """Answer rows: exactly what the served model answers.

        Args:
            rows: one row as a mapping, or many in any form that `prepare` takes.

        Returns:
            For one row its answer as a dict, for many an `Answers`, as long as `rows`.

        Raises:
            DataError: a row cannot be answered, or the network gives no finite number for it; the message says which
                and why. `prepare` and `stream` answer the others.
        """
        if isinstance(rows, Mapping):
            return self.predict([rows])[0]
        answers = self._answers(rows)
        if errors := answers.not_finite():
            raise as_one(errors, len(answers))
        return answers

    def predict_proba(self, rows: Any) -> np.ndarray[Any, Any]:
        """Probabilities of shape (rows, classes), in the order of `model.task.classes`.

        Raises:
            DataError: the task has no probabilities, or as in `predict`.
        """
        answers = self.predict([rows] if isinstance(rows, Mapping) else rows)
        if "probabilities" not in answers.columns:
            raise DataError(f"a {self.task.kind} has no probabilities; use predict")
        return answers["probabilities"]

    def vouch(self, test: Any, *, precision: str = "bfloat16", max_drop: float = 0.005) -> dict[str, Any]:
        """Find out whether the model holds its accuracy in a lower precision, and write that into its card.

        Both precisions answer the same rows. `save` then stores the finding, and `Model.load(path, precision="auto")`
        goes by it: run this on the kind of machine that is to serve. The model itself answers in float32 after this.

        Args:
            test: rows with their target that the model has not seen, as for `evaluate`.
            precision: "bfloat16".
            max_drop: by how much the primary score may be worse: a portion such as accuracy by this much, an error by
                this share of itself; from 0 to below 1.

        Returns:
            What stands in `model.card["precision"]["bfloat16"]`: whether it `held`, the scores both ways, the share of
            rows with the same label (`agreement`), and how many times as fast it was here for 8 rows.

        Raises:
            DataError: an argument is out of its range, or the rows cannot be scored.
        """
        found = vouched(self, test, precision, max_drop)
        self.card["precision"] = {**self.card.get("precision", {}), precision: found}
        return found

    def explain(self, rows: Any, *, label: Any = None) -> Any:
        """What each field of a row adds to its answer, by integrated gradients.

        They are measured from a baseline: numbers and sequences at their training mean, no category, an image of the
        training rows' mean colour, a text of padding only. What the fields add is the output less the baseline's, but
        for `gap`, which the integral's steps leave. It says what the network went by, not what causes what. Computed in
        float32.

        Args:
            rows: one row as a mapping, or many in any form that `prepare` takes.
            label: the class to explain; by default the one that each row is answered.

        Returns:
            For one row a dict, for many a list: `label`, where the task has some; `output`, the network's score of it
            before any sigmoid or softmax (of a regression the value less the training mean, of an anomaly the score);
            that of the `baseline`; the `gap`; and `attributions` by field: a number; for an image a map of at most
            32 x 32 cells; for a text its tokens, with their places; for a sequence a number each step and channel.

        Raises:
            DataError: a row cannot be answered, there is no such label, or answers of this kind cannot be explained.
        """
        if isinstance(rows, Mapping):
            return self.explain([rows], label=label)[0]
        return explained(self, rows, label)

    def score(self, test: Any) -> Scores:
        """The scores alone, without the intervals, baselines and groups of `evaluate`; its `test` and errors."""
        rows, truth = judging(self, test)
        return self.task.score(self.predict(rows), truth)

    def evaluate(self, test: Any, *, baselines_from: Any = None, groups: str | Sequence[str] = ()) -> Evaluation:
        """Score the model on rows it has not seen.

        Args:
            test: rows with their target: `Rows`, `(X, y)` or a torch `Dataset`.
            baselines_from: the training rows: simple methods are taught by them, but for those of a class that the
                network was never taught, and scored on the same test rows.
            groups: name of a field, or of a column kept from the network, or several: the score of each group of
                rows, and who is served worse. Numbers are cut at their quartiles.

        Raises:
            DataError: the rows have no target, or one that the model does not know, or `groups` names no column of
                groups.
        """
        return evaluated(self, test, baselines_from, groups)

    def save(
        self,
        path: str | Path,
        *,
        evaluation: Evaluation | None = None,
        examples: Sequence[Mapping[str, Any]] | None = None,
    ) -> Path:
        """Store the model as an artifact, in one step, in place of one that stands there.

        Args:
            path: the folder.
            evaluation: scores for the card.
            examples: golden rows; by default made up within the ranges that training rows had.

        Returns:
            The path.

        Raises:
            ArtifactError: `path` is something else than an artifact.
            DataError: an example cannot be answered.
        """
        return saved(self, Path(path), evaluation, examples)

    @classmethod
    def load(cls, path: str | Path, *, device: str | torch.device = "cpu", precision: str = "float32") -> Model:
        """Load an artifact, and let it answer its golden rows before anyone else's.

        Args:
            path: the artifact's folder.
            device: where to put the network.
            precision: to answer in: "float32", "bfloat16", or "auto": bfloat16 where the card says that it held its
                accuracy and was faster on such a device (`vouch`), this device has units for it, and the golden
                answers are the same but for rounding; else float32.

        Raises:
            DataError: `precision` is none of these.
            IntegrityError: a file is missing, truncated or altered.
            FormatError: the files are whole, but are not a model that this installation can build.
            SkewError: the model answers its golden rows otherwise than when it was saved.
        """
        return cls.from_artifact(artifact.read(path), device=device, precision=precision)

    @classmethod
    def from_artifact(
        cls, stored: Artifact, *, device: str | torch.device = "cpu", precision: str = "float32"
    ) -> Model:
        """The model in an artifact that has been read; as `load`, from there on."""
        check_precision(precision, "auto")
        try:
            model = cls(**parts_of(stored)).to(device)
        except ArtifactError:
            raise
        except WRONG as error:
            raise FormatError(f"the artifact does not describe a model: {first_line(error)}") from error
        replay(model, stored.example)
        model.digest, model.example = stored.digest, stored.example
        if precision == "bfloat16":
            replay(model.set_precision("bfloat16"), stored.example)
        elif precision == "auto" and is_vouched(model.card, model.device) and is_fast(model.device):
            try:
                replay(model.set_precision("bfloat16"), stored.example)
            except SkewError:
                model.set_precision("float32")
        return model

    def _answers(self, rows: Any) -> Answers:
        """The answers to rows that can all be answered, finite or not."""
        parts: list[Answers] = []
        for prepared in self.prepared(rows):
            if errors := prepared.errors:
                length = len(rows) if hasattr(rows, "__len__") else len(errors) + len(prepared.kept)
                raise as_one(errors, length)
            if len(prepared.kept):
                parts.append(self.task.join(self.stream(prepared.batch)))
        if not parts:
            raise DataError("there is no row to answer")
        return Answers.join(parts)

    def _run(self, batch: Batch) -> Iterator[Answers]:
        """The answers to rows that go through the network at once."""
        running = self.task.run(self.answering, batch.trimmed().to(self.device))
        count = worth_threads(self._work * len(batch))
        while True:  # what is set for the network holds while it computes, and not for whoever takes the answers
            with torch.inference_mode(), threads(count):
                answers = next(running, None)
            if answers is None:
                return
            yield answers


def load(path: str | Path, *, device: str | torch.device = "cpu", precision: str = "float32") -> Model:
    """Load an artifact: `Model.load`."""
    return Model.load(path, device=device, precision=precision)
