"""Report what a run does: a progress bar, a progress file, TensorBoard, a history of the loss."""

import csv
import json
import sys
import time
from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams
from tqdm import tqdm

from a2u.engine.identity import Places
from a2u.errors import printable
from a2u.files import replacing


class QuietLog:
    """The log of every rank but the first: keep time, write nothing."""

    def __init__(self, first_step: int, batch_size: int) -> None:
        self._first, self._batch_size = first_step, batch_size
        self._training_seconds, self._tick = 0.0, time.monotonic()

    def samples_per_second(self, step: int) -> float:
        return (step - self._first) * self._batch_size / max(self._training_seconds, 1e-9)

    def resume(self) -> None:
        """Restart the clock, after something (an evaluation) that does not count for the training speed."""
        self._tick = time.monotonic()

    def step(self, step: int, loss: float) -> None:
        """Log one training step; `step` counts from 1."""
        now = time.monotonic()
        self._training_seconds, self._tick = self._training_seconds + now - self._tick, now

    def scalars(self, step: int, values: dict[str, float]) -> None: ...

    def evaluating(self, step: int, done: int, total: int) -> None: ...

    def metrics(self, step: int, values: dict[str, float]) -> None: ...

    def health(self, step: int, values: Mapping[str, Mapping[str, float]]) -> None:
        """Log measures of each operator's kernels, by the operator's name in the network."""

    def strip(self, step: int, name: str, picture: Tensor) -> None:
        """Log a strip of pictures, (3, H, W) in 0..1."""

    def settings(self, values: dict[str, Any]) -> None:
        """Log the settings that distinguish this run, by name."""

    def started_from(self, report: str) -> None:
        """Log what the network took from the weights it starts from."""

    def finished(self) -> None:
        """Log the end of the run; its latest metrics are its result."""

    def close(self) -> None: ...


class RunLog(QuietLog):
    """Scalars, pictures and progress of one run.

    progress.json holds {phase, step, steps, loss, samples_per_second, seconds_left}; a table runner reads it.
    """

    def __init__(self, places: Places, steps: int, first_step: int, batch_size: int, terminal: bool) -> None:
        super().__init__(first_step, batch_size)
        places.folder.mkdir(parents=True, exist_ok=True)
        self._progress, self._history = places.progress, places.history
        self._start = places.start
        self._steps = steps
        self._cut_history(first_step)
        self.board = SummaryWriter(str(places.folder / "tensorboard"), purge_step=first_step + 1)
        hidden = None if terminal else True  # None: where stderr is no terminal
        self._bar = tqdm(total=steps, initial=first_step, unit="step", disable=hidden, dynamic_ncols=True)
        self._written = 0.0

    def step(self, step: int, loss: float) -> None:
        super().step(step, loss)
        self._bar.update(1)
        if time.monotonic() - self._written > 0.5:
            rate = self.samples_per_second(step)
            left = (self._steps - step) * self._batch_size / rate
            self._bar.set_postfix(loss=f"{loss:.4f}", samples_per_s=f"{rate:.1f}")
            self._write("training", step, loss=loss, samples_per_second=rate, seconds_left=left)

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Write scalars to TensorBoard and history.csv (with the columns of the first call)."""
        for name, value in values.items():
            self.board.add_scalar(f"train/{name}", value, step)
        with self._history.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            if file.tell() == 0:
                writer.writerow(["step", *values])
            writer.writerow([step, *values.values()])

    def evaluating(self, step: int, done: int, total: int) -> None:
        if time.monotonic() - self._written > 0.5 or done == total:
            self._bar.set_description(f"evaluating {done}/{total}" if done < total else "")
            self._write("evaluating", step, images=done, of=total)

    def metrics(self, step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            self.board.add_scalar(f"test/{name}", value, step)

    def health(self, step: int, values: Mapping[str, Mapping[str, float]]) -> None:
        for operator, measures in values.items():
            for name, value in measures.items():
                self.board.add_scalar(f"health/{name}/{operator}", value, step)

    def strip(self, step: int, name: str, picture: Tensor) -> None:
        self.board.add_image(printable(name), picture.clamp(0, 1), step)

    def settings(self, values: dict[str, Any]) -> None:
        """Write to TensorBoard's HParams, one table of all runs of a folder with their latest scalars as metrics.

        No list of columns is written: TensorBoard would use one run's list for all.
        """
        texts = {name: str(value) if isinstance(value, bool) else value for name, value in values.items()}
        _, start, _ = hparams(texts, {})
        self._summary(start)

    def started_from(self, report: str) -> None:
        """Print the report on stderr, and write init_from.txt."""
        tqdm.write(report, file=sys.stderr)
        with replacing(self._start) as temporary:
            temporary.write_text(report + "\n", encoding="utf-8")

    def finished(self) -> None:
        *_, end = hparams({}, {})
        self._summary(end)

    def _summary(self, summary: Any) -> None:
        self.board._get_file_writer().add_summary(summary)

    def close(self) -> None:
        self._bar.close()
        self.board.close()

    def _write(self, phase: str, step: int, **extra: float) -> None:
        self._written = time.monotonic()
        self._progress.write_text(json.dumps({"phase": phase, "step": step, "steps": self._steps, **extra}))

    def _cut_history(self, step: int) -> None:
        """Drop lines that a killed run wrote after its last checkpoint."""
        if not self._history.is_file():
            return
        text = self._history.read_text(encoding="utf-8", errors="replace")
        whole = [line for line in text.splitlines(keepends=True) if "\n" in line]
        steps = [line.split(",", 1)[0] for line in whole]  # a power failure may leave bytes that are not text
        kept = [line for line, at in zip(whole, steps, strict=True) if at.isdecimal() and int(at) <= step]
        with replacing(self._history) as temporary:
            temporary.write_text("".join([*whole[:1], *kept] if kept else []), encoding="utf-8")
