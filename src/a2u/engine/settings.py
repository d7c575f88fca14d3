"""How a run trains, measures and uses the machine: the nodes `trainer`, `metrics` and `runtime` of a configuration."""

from dataclasses import dataclass
from enum import Enum

from a2u.errors import ConfigError
from a2u.settings import MOST_PROCESSES, field, schema


class Schedule(Enum):
    """How the learning rate changes over the steps of a run."""

    multistep = 1
    one_cycle = 2
    constant = 3


class Precision(Enum):
    """Precision of a training step's maps: float32, or autocast to bfloat16 (weights and loss stay float32)."""

    float32 = 1
    bfloat16 = 2


class Loss(Enum):
    """Loss of mattes: that of Sec. 6.3, the Laplacian pyramid of alpha, or that of trimap adaptation and alpha."""

    matting = 1
    laplacian = 2
    adaptation = 3


@dataclass
class TrainerConfig:
    """Settings of every training."""

    epochs: int = field(30, "0 where there is nothing to train", least=0)
    batch_size: int = field(16, least=1)
    lr: float = field(0.01, "of new layers", above=0)
    schedule: Schedule = field(Schedule.multistep)
    milestones: list[int] = field([20, 26], "epochs after which lr is multiplied by gamma")
    gamma: float = field(0.1, least=0, most=1)
    clip_norm: float | None = field(
        None,
        "gradients are scaled down to this total norm; null: never",
        above=0,
        added_later=True,
    )
    ema: float = field(
        0.0,
        "decay per step of an exponential moving average of the weights, which is evaluated and saved; 0: none",
        least=0,
        most=0.999999,
        added_later=True,
    )
    evaluate_every: int = field(
        1, "epochs; also before the rate drops and after the last epoch. 0: after the last only", least=0
    )

    def check(self) -> None:
        if any(epoch < 1 for epoch in self.milestones):
            raise ConfigError(f"trainer.milestones must be epochs, each at least 1; got {self.milestones}.")


@schema("trainer/matting")
@dataclass
class MattingTrainerConfig(TrainerConfig):
    """Adam on the matting loss (Sec. 6.3; defaults: the paper's for the Adobe dataset)."""

    iterations: int = field(6000, "of an epoch", least=1)
    encoder_lr_ratio: float = field(100.0, "a pretrained encoder learns at lr / encoder_lr_ratio", above=0)
    operator_lr_ratio: float = field(
        1.0, "the upsampling operator learns at lr / operator_lr_ratio", above=0, added_later=True
    )
    freeze_encoder_norm: bool | None = field(None, "null: if encoder weights are loaded, as in the paper")
    accumulate: int = field(
        1, "parts per batch, whose gradients are added up; norms see one part at a time", least=1, added_later=True
    )
    precision: Precision = field(Precision.float32, added_later=True)
    loss: Loss = field(
        Loss.matting,
        "laplacian: as Context-Aware Matting, over the unknown region; adaptation: of model=adamatting, its only one",
        added_later=True,
    )
    laplacian_weight: float = field(0.0, "of the Laplacian loss, added to the matting loss", least=0, added_later=True)
    gradient_weight: float = field(
        0.0, "of the L1 distance of the mattes' gradients, added to the loss", least=0, added_later=True
    )


@schema("trainer/reconstruction")
@dataclass
class ReconstructionTrainerConfig(TrainerConfig):
    """SGD on the L1 loss (Appendix A). An epoch is one pass over the training pictures, without an incomplete batch."""

    epochs: int = 100
    batch_size: int = 100
    milestones: list[int] = field([50, 70, 85])
    evaluate_every: int = 10
    momentum: float = field(0.9, "not stated in the paper", least=0)
    weight_decay: float = field(5e-4, "not stated in the paper", least=0)

    def check(self) -> None:
        super().check()
        if self.momentum >= 1:
            raise ConfigError(f"trainer.momentum must be below 1, or steps grow without bound; got {self.momentum}.")


@schema("trainer/probe")
@dataclass
class ProbeTrainerConfig(TrainerConfig):
    """Adam on the L1 loss over whole crops."""

    epochs: int = 10
    iterations: int = field(100, "of an epoch", least=1)
    schedule: Schedule = Schedule.one_cycle
    evaluate_every: int = 2


class MetricProgram(Enum):
    """Metrics of the MATLAB program (those of the tables), or of the authors' Python, which its logs print."""

    matlab = 1
    released_python = 2


class Rounding(Enum):
    """Rounding of a prediction in 0..1 to 8 bits: nearest, or truncated as in the released program."""

    nearest = 1
    truncate = 2


@dataclass
class EvaluationConfig:
    """How predictions become the numbers of a table."""


@schema("metrics/matting")
@dataclass
class MattingEvaluationConfig(EvaluationConfig):
    """SAD, MSE, Grad, Conn."""

    program: MetricProgram = field(MetricProgram.matlab, "of the tables (matlab), or of the authors' logs")
    rounding: Rounding = field(Rounding.nearest, "of predictions to 8 bits")


@schema("metrics/image")
@dataclass
class ImageEvaluationConfig(EvaluationConfig):
    """PSNR, SSIM, RMSE, MAE over the whole test set."""

    clamp: bool = field(False, "predictions to 0..1 first; the paper does not say")


@schema("metrics/mixed")
@dataclass
class MixedEvaluationConfig(EvaluationConfig):
    """MAE, MSE, Grad where the true alpha is mixed; predictions are clamped and rounded to 8 bits."""


@dataclass
class RuntimeConfig:
    """Where and how fast a run computes; nothing here is part of its identity."""

    outputs: str = field("outputs", "folder of runs and their results")
    device: str = field("auto", "auto, cpu, cuda, cuda:1, ...")
    threads: int | None = field(None, "of PyTorch; null: its own choice", least=1, most=MOST_PROCESSES)
    channels_last: bool = field(True, "memory layout of maps: faster on a CPU (docs/performance.md)")
    recompute: bool = field(
        False, "batch norms of the U-Net keep only their output for the backward pass: less memory, more time"
    )
    compile: bool = field(
        False, "torch.compile for the training step: needs a C++ compiler on a CPU, and a minute to start"
    )
    evaluation_threads: int | None = field(
        None,
        "threads that read and measure next to the network; null: as many as PyTorch has",
        least=1,
        most=MOST_PROCESSES,
    )
    workers: int | None = field(
        None, "data-loading processes; null: none on a CPU, up to 8 for a GPU", least=0, most=MOST_PROCESSES
    )
    log_every: int = field(20, "steps between TensorBoard scalars", least=1)
    checkpoint_seconds: float = field(60.0, "at most, between checkpoints; also one after every epoch", least=0)
    progress: bool = field(True, "a bar with the time left, if stderr is a terminal")
    tile: int | None = field(
        None, "side in pixels of the tiles that test images are computed in; null: whole images", least=1
    )
    save_predictions: bool = field(False, "8-bit PNGs of the last evaluation")
    force: bool = field(
        False, "run again a run that is finished, and set its result aside in replaced/; an unfinished run resumes"
    )
