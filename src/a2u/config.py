"""Typed configuration: one dataclass a node, registered with Hydra.

configs/train.yaml shows how a run is composed. An unknown key, a wrong type or a value outside an enumeration
fails at composition, with the key and the allowed values in the message. The options of an upsampling operator are
its constructor's arguments: their types and defaults stand there and nowhere else.
"""

import inspect
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, make_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, OverrideParseException
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from a2u.errors import ConfigError, did_you_mean
from a2u.upsampling import Upsampler, operators

CONFIG_DIR = Path(__file__).parents[2] / "configs"
Settings = TypeVar("Settings")


class Task(Enum):
    """What networks are trained for: mattes (Sec. 6), or image reconstruction (Sec. 5, Table 1)."""

    matting = 1
    reconstruction = 2


class Network(Enum):
    """Whole networks, and what needs no training."""

    resnet34_unet = 1
    trimap_only = 2
    reconstruction = 3
    closed_form = 4
    knn = 5
    dim = 6
    indexnet_matting = 7
    gca = 8
    context_aware = 9


class Norm(Enum):
    """Norm + activation of the network: batch norm + leaky ReLU, or the released program's in-place ABN."""

    batch = 1
    inplace_abn = 2


class System(Enum):
    """Whose matting is evaluated: a checkpoint of this program, released weights, or what needs none."""

    checkpoint = 1
    a2u = 2
    indexnet_matting = 3
    gca = 4
    gca_baseline = 5
    dim = 6
    closed_form = 7
    knn = 8
    trimap_only = 9
    context_aware = 10


class Schedule(Enum):
    """How the learning rate changes over the steps of a run."""

    multistep = 1
    one_cycle = 2
    constant = 3


class Precision(Enum):
    """Of a training step's maps: single precision, or autocast to bfloat16 (weights and loss stay single)."""

    float32 = 1
    bfloat16 = 2


class Split(Enum):
    """Whose foregrounds are trained on: those of the training part, or of the test part as well (Table 6)."""

    train = 1
    all = 2


class Rounding(Enum):
    """From a prediction in 0..1 to 8 bits: to the nearest value, or cut off as the released program does."""

    nearest = 1
    truncate = 2


class Downsampling(Enum):
    """How the reconstruction network downsamples, where the operator does not."""

    max_pool = 1
    conv = 2


class InitialValues(Enum):
    """Of convolutions: as PyTorch's layers start, or Xavier-normal as in the matting network."""

    pytorch = 1
    xavier = 2


class MetricProgram(Enum):
    """Whose figures: the MATLAB program's (those of record), or those the authors' Python prints in its logs."""

    matlab = 1
    released_python = 2


class Launcher(Enum):
    """A process a row on this machine, or one row after the other in this process."""

    local = 1
    inline = 2


class ReportSource(Enum):
    """Whose results a report shows: the committed ones of results/, or those of one's own runs."""

    results = 1
    outputs = 2


@dataclass
class ModelConfig:
    """What every network has."""

    name: Network = Network.resnet34_unet


@dataclass
class MattingNetworkConfig(ModelConfig):
    """What networks for mattes have; `width`, block counts and so on shrink them for small scales."""

    encoder_weights: str = "none"  # none, imagenet (fetched by torchvision) or a file (.pth, .safetensors)


@dataclass
class MattingModelConfig(MattingNetworkConfig):
    """The matting network of Sec. 6.1, with a place for an upsampling operator."""

    encoder: str = "resnet34"  # or another of a2u.models.encoders
    width: float = 1.0  # multiplies every channel count
    encoder_blocks: list[int] = field(default_factory=lambda: [3, 4, 4])  # of layer1, layer2, layer3
    decoder_blocks: int = 2  # of each of the four stages
    norm: Norm = Norm.batch
    aspp: bool = True
    dropout: float = 0.5  # of the pyramid pooling


@dataclass
class UntrainedConfig(MattingNetworkConfig):
    """What has nothing to learn: the trimap alone, closed-form and KNN matting."""

    name: Network = Network.trimap_only


@dataclass
class DIMConfig(MattingNetworkConfig):
    """Deep Image Matting."""

    name: Network = Network.dim
    width: float = 1.0  # multiplies every channel count


@dataclass
class IndexNetMattingConfig(MattingNetworkConfig):
    """IndexNet Matting."""

    name: Network = Network.indexnet_matting
    width: float = 1.0  # multiplies every channel count
    hidden: int = 2  # width of the index blocks in units of their channels; 1 in the released program
    aspp: bool = True  # pyramid pooling; false: a 1x1 convolution


@dataclass
class GCAConfig(MattingNetworkConfig):
    """GCA Matting."""

    name: Network = Network.gca
    width: float = 1.0  # multiplies every channel count
    attention: bool = True  # false: the authors' baseline


@dataclass
class ContextAwareConfig(MattingNetworkConfig):
    """Context-Aware Matting."""

    name: Network = Network.context_aware
    upsampler_slot: bool = False  # the upsampler in both x2 steps of the alpha decoder; false: bilinear, as released
    colour: bool = False  # the decoder of foreground colours too, which is not trained here
    width: float = 1.0  # multiplies every channel count
    middle_units: int = 16  # residual modules of the encoders' middle flow
    aspp: bool = True  # pyramid pooling; false: a 1x1 convolution


@dataclass
class ReconstructionModelConfig(ModelConfig):
    """The reconstruction network of Table 1."""

    name: Network = Network.reconstruction
    downsampling: Downsampling = Downsampling.max_pool
    last_activation: bool = True  # the last C(1) ends in batch norm and ReLU, as written
    initial_values: InitialValues = InitialValues.pytorch  # not stated in the paper


@dataclass
class UpsamplerConfig:
    """Base of the operators' options, which are made from their constructors."""

    name: str = "???"


@dataclass
class SamplingConfig:
    """How training samples are made."""


@dataclass
class NoSamplingConfig(SamplingConfig):
    """Pictures to reconstruct are taken as they are: nothing to choose."""


@dataclass
class SampleConfig(SamplingConfig):
    """How one training sample is made from layers (Sec. 6.3 and the released program; defaults: the paper's)."""

    crop: int = 512  # side of the square crop, a multiple of 16
    combine_probability: float = 0.5  # a second foreground is laid under the first
    resize_probability: float = 0.25  # the foreground is resized to resize_to x resize_to first
    resize_to: int = 640
    rotation: float = 30.0  # degrees, +-
    rotation_min_side: int = 1024  # no rotation where the longer side is smaller
    scale_min: float = 0.8  # each axis scaled by a uniform draw
    scale_max: float = 1.25
    shear: float = 10.0  # degrees, +-
    trimap_max: int = 29  # ellipses of independent size 1..trimap_max erode the known regions
    jitter: bool = True  # hue, saturation and value of the foreground
    noise: float = 0.0  # Gaussian, on the composite: its deviation is drawn in 0..noise for each sample, 8-bit units
    version: int = 2  # of the way samples are drawn; part of a run's identity, since its samples are


@dataclass
class DatasetConfig:
    """What every dataset has; `limit_*` use the first N only."""

    name: str = "???"
    root: str | None = None
    limit_train: int | None = None
    limit_test: int | None = None


@dataclass
class MattingDatasetConfig(DatasetConfig):
    """Foregrounds with alpha, composites to test on."""


@dataclass
class SyntheticConfig(MattingDatasetConfig):
    """The embedded default: generated foregrounds with exact alpha."""

    name: str = "synthetic"
    cache: str | None = "data"  # folder for generated layers; null: generate again every time
    train_layers: int = 256  # 0: no training part, for evaluation alone
    train_backgrounds: int = 128
    train_size: int = 160  # side of the square training layers, pixels
    test_images: int = 64
    test_size: int = 256
    seed: int = 2021  # of the generator, not of the run
    trimap: int | None = None  # every test trimap eroded by ellipses of so many pixels; null: by sizes drawn for each
    version: int = 1  # of the generator; part of a run's identity, since its pictures are


@dataclass
class TwoPartConfig(MattingDatasetConfig):
    """Layers to train on and composites to test on, in folders."""

    # Paths are taken from root, or are absolute. Lists are text files with one name a line.
    train_list: str | None = None  # foregrounds of the training part; null: all, sorted
    test_list: str | None = None  # composites, or foregrounds for all of theirs; null: all, sorted
    backgrounds: str | None = None  # folder; null: train2014 in the training part, else bg
    split: Split = Split.train  # foregrounds to train on; all: every foreground of the test part too
    cache_mb: int = 1024  # decoded training layers kept in memory, a process
    decoded: str | None = None  # folder for decoded training layers, shared by processes; null: none
    decoded_mb: int = 16384  # kept there at most


@dataclass
class AdobeConfig(TwoPartConfig):
    """Adobe Image Matting / Composition-1k in the released folder layout."""

    name: str = "adobe"


@dataclass
class Distinctions646Config(TwoPartConfig):
    """Distinctions-646 in the released folder layout, its test set composed as Composition-1k is."""

    name: str = "distinctions646"


@dataclass
class AlphamattingConfig(MattingDatasetConfig):
    """The alphamatting.com photographs with true alpha: evaluation only."""

    name: str = "alphamatting"
    trimap: str = "Trimap1"


@dataclass
class DigitsConfig(DatasetConfig):
    """Small grey pictures to reconstruct, resized to `size` x `size`."""

    size: int = 32
    held_out: int = 0  # so many last training pictures take the test set's place, to choose settings by


@dataclass
class IdxConfig(DigitsConfig):
    """MNIST or Fashion-MNIST: four files, gzip or extracted, in root/<MNIST or FashionMNIST>/raw or root itself."""

    # null: the folder data; Fashion-MNIST also where Debian's package dataset-fashion-mnist puts it
    root: str | None = None
    download: bool = False  # let torchvision fetch what is not there


@dataclass
class TrainerConfig:
    """What every training has."""

    epochs: int = 30
    batch_size: int = 16
    lr: float = 0.01  # of new layers
    schedule: Schedule = Schedule.multistep
    milestones: list[int] = field(default_factory=lambda: [20, 26])  # epochs after which lr is multiplied by gamma
    gamma: float = 0.1
    clip_norm: float | None = None  # gradients are scaled down to this norm, all of them together, where it is larger
    evaluate_every: int = 1  # epochs; also before the rate falls and after the last epoch. 0: the last one alone


@dataclass
class MattingTrainerConfig(TrainerConfig):
    """Adam on the matting loss (Sec. 6.3; defaults: the paper's for the Adobe dataset)."""

    iterations: int = 6000  # of an epoch
    encoder_lr_ratio: float = 100.0  # a pretrained encoder learns at lr / encoder_lr_ratio
    freeze_encoder_norm: bool | None = None  # null: where encoder weights are loaded, as the paper says
    accumulate: int = 1  # parts a batch is taken in, gradients added up; norms see a part at a time
    precision: Precision = Precision.float32


@dataclass
class ReconstructionTrainerConfig(TrainerConfig):
    """SGD on the L1 loss (Appendix A). An epoch is one pass over the training pictures; a rest is left out."""

    epochs: int = 100
    batch_size: int = 100
    milestones: list[int] = field(default_factory=lambda: [50, 70, 85])
    evaluate_every: int = 10
    momentum: float = 0.9  # not stated in the paper
    weight_decay: float = 5e-4  # not stated in the paper


@dataclass
class EvaluationConfig:
    """How predictions become the numbers of a table."""


@dataclass
class MattingEvaluationConfig(EvaluationConfig):
    """SAD, MSE, Grad, Conn."""

    program: MetricProgram = MetricProgram.matlab
    rounding: Rounding = Rounding.nearest


@dataclass
class ImageEvaluationConfig(EvaluationConfig):
    """PSNR, SSIM, RMSE, MAE over the whole test set."""

    clamp: bool = False  # predictions to 0..1 first; the paper does not say


@dataclass
class RuntimeConfig:
    """Where and how fast, never what: nothing here is part of a run's identity."""

    outputs: str = "outputs"
    device: str = "auto"  # auto, cpu, cuda, cuda:1, ...
    threads: int | None = None  # of PyTorch; null: its own choice
    channels_last: bool = True  # memory layout of maps: faster on a CPU (docs/performance.md)
    recompute: bool = False  # batch norms of the U-Net keep their output alone for the backward pass: memory for time
    compile: bool = False  # the training step by torch.compile: needs a C++ compiler on a CPU, and a minute to start
    evaluation_threads: int | None = None  # reading and measuring beside the network; null: as many as PyTorch has
    workers: int | None = None  # data-loading processes; null: none on a CPU, up to 8 beside a GPU
    log_every: int = 20  # steps between TensorBoard scalars
    checkpoint_seconds: float = 60.0  # a checkpoint at least this often, besides one after every epoch
    progress: bool = True  # a bar with the time left, where stderr is a terminal
    tile: int | None = None  # side in pixels of the tiles that test images are computed in; null: whole images
    save_predictions: bool = False  # 8-bit PNGs of the last evaluation
    force: bool = False  # run again where a finished result exists, which is put aside; one not finished goes on


@dataclass
class Config:
    """One run: a row of a table at one scale with one seed."""

    task: Task = Task.matting
    table: str = "custom"  # under which the result is kept, as are row and scale
    row: str = "custom"
    scale: str = "custom"
    seed: int = 0
    model: ModelConfig = field(default_factory=ModelConfig)
    upsampler: UpsamplerConfig = field(default_factory=UpsamplerConfig)
    dataset: DatasetConfig = field(default_factory=DatasetConfig)
    sample: SamplingConfig = field(default_factory=SamplingConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    metrics: EvaluationConfig = field(default_factory=EvaluationConfig)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)


@dataclass
class EvaluateConfig:
    """configs/evaluate.yaml: a system on a dataset."""

    system: System = System.checkpoint
    weights: str | None = None  # a last.pt or best.pt of ours, one exported, or a released .pth or .safetensors file
    dataset: DatasetConfig = field(default_factory=DatasetConfig)
    metrics: EvaluationConfig = field(default_factory=EvaluationConfig)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)


@dataclass
class PredictConfig:
    """configs/predict.yaml: mattes of photographs."""

    # Each a file, a folder, or a pattern such as photos/*.jpg; of folders and patterns, files of one name go together.
    image: str = "???"
    trimap: str | None = None  # 0 background, 128 unknown, 255 foreground
    mask: str | None = None  # instead of a trimap: a rough mask, 128 and above is foreground
    truth: str | None = None  # the true alpha, where it is known: its metrics are printed
    erode: int = 10  # how far the unknown region reaches into the mask, in pixels
    dilate: int = 10  # how far it reaches out of it
    background: str | None = None  # white, #rrggbb or a picture: a composite on it is written too
    cutout: bool = True  # the picture with transparency, in estimated foreground colours; false: alpha alone
    folder: str | None = None  # where the pictures go; null: <runtime.outputs>/predict
    system: System = System.checkpoint
    weights: str | None = None  # as in EvaluateConfig; null, of system=checkpoint: the model in the package
    tile_above: float | None = 2.0  # megapixels; larger pictures are computed in tiles where they can be; null: never
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)


@dataclass
class ShippedConfig:
    """configs/shipped.yaml: the model in the package beside classic systems on photographs of alphamatting.com."""

    photographs: str = "???"  # their folder
    weights: str | None = None  # another model instead of the one in the package
    publish: bool = False  # also write to results/


@dataclass
class ExportConfig:
    """configs/export.yaml: a checkpoint as a file for others."""

    weights: str = "???"  # a last.pt or best.pt of ours
    to: str = "???"  # FILE.safetensors or FILE.onnx; its manifest FILE.json comes to lie beside it


@dataclass
class LauncherConfig:
    """How the rows of a table are run on this machine; Hydra's launchers have types of their own."""

    name: Launcher = Launcher.local


@dataclass
class TableConfig:
    """configs/table.yaml: which rows, how often and how many at a time; what they run on is said as for train.py."""

    table: str = "table2"  # table1 ... table7
    rows: list[str] = field(default_factory=list)  # empty: every row
    seeds: int = 1  # seeds 0 .. seeds-1
    baseline: str | None = None  # row that the others' differences are from, of several seeds; null: the first trained
    jobs: int | None = None  # rows at a time; null: one a CPU core, one beside a GPU, all through a launcher of Hydra's
    publish: bool = False  # copy finished results to results/ instead of running
    photographs: str | None = None  # folder of the alphamatting.com photographs, for Table 6
    launcher: Any = MISSING  # a LauncherConfig, or what a launcher of Hydra's is configured by


@dataclass
class StudyConfig:
    """configs/study.yaml: how the study of docs/study.md is carried out; what it is, its protocol fixes."""

    seeds: int = (
        MISSING  # seeds 0 .. seeds-1; with another number than the protocol's nothing is measured on the test images
    )
    jobs: int | None = None  # rows at a time, as in TableConfig
    photographs: str | None = None  # folder of the alphamatting.com photographs, measured as well where it is given
    pilots: bool = False  # the pilot runs, which say how many seeds are needed, instead of the study
    publish: bool = False  # copy the finished study to results/ instead of running
    report: bool = False  # write table, pictures and conclusion from results/ instead of running
    launcher: Any = MISSING  # a LauncherConfig, or what a launcher of Hydra's is configured by


@dataclass
class FiguresConfig:
    """configs/figures.yaml: which figures, of what; what the rows run on is said as for train.py."""

    figures: list[int] = field(default_factory=list)  # empty: 1, 4, 5, 7, and 6 where its photographs are given
    systems: list[str] = field(default_factory=list)  # rows shown side by side in Figures 4, 6, 7; empty: all
    images: list[str] = field(default_factory=list)  # test images of Figures 1, 4, 5; empty: evenly spaced ones
    photographs: str | None = None  # folder of the alphamatting.com photographs, for Figure 6
    folder: str | None = None  # where the figures go; null: <runtime.outputs>/figures/<dataset>/<scale>
    jobs: int | None = None  # as in TableConfig, for rows that are not done yet
    launcher: Any = MISSING  # a LauncherConfig, or what a launcher of Hydra's is configured by


@dataclass
class BenchConfig:
    """configs/bench.yaml: time and memory of every part, beside a plain formulation of the same."""

    parts: list[str] = field(default_factory=list)  # modules of scripts/bench; empty: all but gpu
    name: str = "cpu"  # of the file with the measurements: one a kind of machine
    outputs: str = "outputs"
    publish: bool = False  # copy the latest measurements to results/bench instead


@dataclass
class ReportConfig:
    """configs/report.yaml: every table's results on one page."""

    source: ReportSource = ReportSource.results
    outputs: str = "outputs"  # folder of runs and figures
    folder: str | None = None  # where index.html goes; null: <outputs>/report


def operator_schema(operator: type[Upsampler]) -> type:
    """Dataclass with an operator's options: its constructor's arguments after `channels`."""
    hints = get_type_hints(operator.__init__)
    options: list[tuple[str, Any, Any]] = [("name", str, operator.name)]
    for key, parameter in inspect.signature(operator).parameters.items():
        if key == "channels":
            continue
        kind, default = hints[key], parameter.default
        if get_origin(kind) is Literal:
            choices = Enum(f"{operator.name}_{key}", {value: value for value in get_args(kind)})  # type: ignore[misc]
            kind, default = _importable(choices), choices[default]
        options.append((key, kind, default))
    return _importable(make_dataclass(f"{operator.__name__}Options", options, bases=(UpsamplerConfig,)))


def _importable(kind: type) -> type:
    """Make `kind` an attribute of this module: a launcher sends configurations to processes that look for it here."""
    kind.__module__ = __name__
    globals()[kind.__name__] = kind
    return kind


def _register() -> dict[str, type]:
    """Put every dataclass into Hydra's store; also return them by name, for messages."""
    store = ConfigStore.instance()
    store.store(name="config_schema", node=Config)
    store.store(name="evaluate_schema", node=EvaluateConfig)
    store.store(name="predict_schema", node=PredictConfig)
    store.store(name="shipped_schema", node=ShippedConfig)
    store.store(name="export_schema", node=ExportConfig)
    store.store(name="table_schema", node=TableConfig)
    store.store(name="study_schema", node=StudyConfig)
    store.store(name="figures_schema", node=FiguresConfig)
    store.store(name="bench_schema", node=BenchConfig)
    store.store(name="report_schema", node=ReportConfig)
    nodes: list[tuple[str, str, type]] = [
        ("model", "matting_schema", MattingModelConfig),
        ("model", "untrained_schema", UntrainedConfig),
        ("model", "dim_schema", DIMConfig),
        ("model", "indexnet_matting_schema", IndexNetMattingConfig),
        ("model", "gca_schema", GCAConfig),
        ("model", "context_aware_schema", ContextAwareConfig),
        ("model", "reconstruction_schema", ReconstructionModelConfig),
        ("dataset", "synthetic_schema", SyntheticConfig),
        ("dataset", "adobe_schema", AdobeConfig),
        ("dataset", "distinctions646_schema", Distinctions646Config),
        ("dataset", "alphamatting_schema", AlphamattingConfig),
        ("dataset", "digits_schema", DigitsConfig),
        ("dataset", "idx_schema", IdxConfig),
        ("sample", "none_schema", NoSamplingConfig),
        ("sample", "matting_schema", SampleConfig),
        ("trainer", "matting_schema", MattingTrainerConfig),
        ("trainer", "reconstruction_schema", ReconstructionTrainerConfig),
        ("metrics", "matting_schema", MattingEvaluationConfig),
        ("metrics", "image_schema", ImageEvaluationConfig),
        ("launcher", "launcher_schema", LauncherConfig),
    ]
    nodes += [("upsampler", f"{name}_schema", operator_schema(operator)) for name, operator in operators().items()]
    for group, name, node in nodes:
        store.store(group=group, name=name, node=node)
    if not OmegaConf.has_resolver("times"):
        OmegaConf.register_new_resolver("times", lambda value, factor: int(value * factor))
        # Sec. 6.3: 30 epochs, 25 on Distinctions-646
        OmegaConf.register_new_resolver("epochs_on", lambda dataset: 25 if dataset == "distinctions646" else 30)
    kinds = [
        Config,
        EvaluateConfig,
        PredictConfig,
        ShippedConfig,
        ExportConfig,
        TableConfig,
        StudyConfig,
        FiguresConfig,
        BenchConfig,
        ReportConfig,
        RuntimeConfig,
        *(node for _, _, node in nodes),
    ]
    return {kind.__name__: kind for kind in kinds}


_SCHEMAS = _register()


def compose(overrides: Iterable[str] = (), config_name: str = "train") -> DictConfig:
    """Compose a configuration as the scripts do.

    Args:
        overrides: Hydra overrides, such as "experiment=table2/a2u_hybrid_cw", "scale=smoke".
        config_name: a file of configs/ without its ending.

    Raises:
        ConfigError: unknown key, file or option, or a wrong type; names the key and what is allowed.
    """
    if not CONFIG_DIR.is_dir():
        raise ConfigError(
            f"the folder configs/ was looked for at {CONFIG_DIR} and is not there; experiments run from a checkout "
            "of the repository, installed with `pip install -e '.[experiments]'`."
        )
    overrides = list(overrides)
    outer = GlobalHydra.instance().hydra  # a script's own Hydra, put back afterwards
    GlobalHydra.instance().clear()
    try:
        _refuse_strange_overrides(overrides)
        with initialize_config_dir(version_base="1.3", config_dir=str(CONFIG_DIR)):
            cfg = hydra_compose(config_name, overrides=overrides)
        _refuse_unknown_keys(cfg)
        _refuse_wrong_references(cfg, overrides)
        return cfg
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(explain(error)) from error
    finally:
        GlobalHydra.instance().clear()
        if outer is not None:
            GlobalHydra.instance().initialize(outer)


def split_command_line(arguments: Sequence[str], kind: type[Settings], config_name: str) -> tuple[Settings, list[str]]:
    """Split what a script itself reads, the keys of `kind`, from what it hands to every row.

    Raises:
        ConfigError: an unknown key, or a wrong type among the script's own.
    """
    own: list[str] = [entry.name for entry in fields(kind)]  # type: ignore[arg-type]
    of_rows = [*(entry.name for entry in fields(Config)), "experiment", "hydra"]
    mine, handed_on = list[str](), list[str]()
    for argument in arguments:
        key = re.split(r"[.=@]", argument.lstrip("+~"))[0]
        if key.isidentifier() and key not in own + of_rows:
            raise ConfigError(_unknown_key(key, own + of_rows))
        (mine if key in own else handed_on).append(argument)
    settings: Settings = OmegaConf.to_object(compose(mine, config_name))  # type: ignore[assignment]
    return settings, handed_on


def as_typed(argument: str, keys: Collection[str]) -> str:
    """An override in quotes of Hydra's where it gives one of `keys` a value: names of files need none then.

    >>> as_typed("image=IMG (1).jpg", ["image"])
    "image='IMG (1).jpg'"
    """
    key, _, value = argument.partition("=")
    if key not in keys or value in ("", "null") or value[0] in "'\"":
        return argument
    return f"{key}={quoted(value)}"


def quoted(value: str) -> str:
    """A value in quotes of Hydra's, which takes it as it is, but for references: ${...} stays one.

    >>> print(quoted("it's"))
    'it\\'s'
    """
    # Backslashes are ordinary letters to Hydra, unless a quote follows.
    escaped = re.sub(r"(\\*)('|\Z)", lambda found: 2 * found[1] + ("\\'" if found[2] else ""), value)
    return f"'{escaped}'"


def refuse_incomplete(cfg: DictConfig) -> None:
    """Raise ConfigError for a key that no dataclass has, or one that has no value yet."""
    _refuse_unknown_keys(cfg)
    missing = sorted(OmegaConf.missing_keys(cfg))
    if missing:
        raise ConfigError(f"{', '.join(missing)} must be given, such as {missing[0]}=VALUE.")


def _refuse_strange_overrides(overrides: list[str]) -> None:
    """What Hydra takes, or stumbles over without a sentence of its own. Raises ConfigError, HydraException."""
    for given in overrides:
        if given.splitlines() not in ([], [given]):
            raise ConfigError(f"{given!r} holds a line break: write KEY=VALUE in one line.")
    groups = {folder.name for folder in CONFIG_DIR.iterdir() if folder.is_dir()}
    for override in OverridesParser.create().parse_overrides(overrides):
        line, key = str(override.input_line), override.key_or_group
        group = key.removesuffix(".name")
        is_group = group in groups
        if not key:
            raise ConfigError(f"{line} names no key: write KEY=VALUE.")
        if override.is_delete():
            raise ConfigError(f"{line} would take a key away, but all are needed: give it a value, {key}=VALUE.")
        if is_group and key != group:
            raise ConfigError(f"{line} would rename what was chosen: choose another with {group}={_choices(group)}.")
        if override.is_sweep_override():
            raise ConfigError(f"{line} gives several values: choose one, or quote what is one, {key}=\"'a,b'\".")
        if is_group and override.value() not in options_of(group):
            raise ConfigError(_no_such_option(group, line.partition("=")[2]))


def _refuse_wrong_references(cfg: DictConfig, overrides: list[str]) -> None:
    """A reference, ${...}, has to lead to a value of the right type. Raises ConfigError."""
    try:
        OmegaConf.resolve(cfg.copy())
    except OmegaConfBaseException as error:
        given = ", ".join(override for override in overrides if "${" in override)
        raise ConfigError(f"{given or 'a reference of the configuration'} leads nowhere: {explain(error)}") from error


def _choices(group: str) -> str:
    return ", ".join(options_of(group))


def _no_such_option(group: str, name: str) -> str:
    return f"there is no {group} {name!r}; there are: {_choices(group)}.{did_you_mean(name, options_of(group))}"


def _unknown_key(key: str, allowed: Sequence[str]) -> str:
    suggestion = did_you_mean(key.rpartition(".")[2], allowed)
    return f"unknown configuration key {key}; allowed here: {', '.join(allowed) or 'none'}.{suggestion}"


def _refuse_unknown_keys(cfg: DictConfig, path: str = "") -> None:
    """Hydra's `+key=value` adds keys even to a typed node; here it must not."""
    kind = OmegaConf.get_type(cfg)
    if kind in _SCHEMAS.values():
        allowed = [entry.name for entry in fields(kind)]  # type: ignore[arg-type]
        for key in map(str, cfg):
            if key not in allowed:
                raise ConfigError(_unknown_key(f"{path}{key}", allowed))
    for key in map(str, cfg):
        if not OmegaConf.is_missing(cfg, key) and OmegaConf.is_dict(cfg[key]):
            _refuse_unknown_keys(cfg[key], f"{path}{key}.")


def options_of(group: str) -> list[str]:
    """Names of the files in a folder of configs/: "upsampler" -> a2u, bicubic, ...; "experiment" -> table1/..., ..."""
    folder = CONFIG_DIR / group
    files = list(folder.glob("*.yaml")) or list(folder.glob("*/*.yaml"))
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in files)


def explain(error: Exception) -> str:
    """One sentence from Hydra's message: the key, what was found, what is allowed."""
    if isinstance(error, OverrideParseException):
        return (
            f"{error.override} cannot be read: write KEY=VALUE, and a value with special characters in quotes of both "
            "kinds, KEY=\"'VALUE'\"."
        )
    other_task = re.search(r"Could not find 'scale/(\w+)/(\w+)'", str(error))
    if other_task:
        scale, task = other_task.groups()
        others = [name for name in options_of("scale") if (CONFIG_DIR / "scale" / name / f"{task}.yaml").is_file()]
        return f"scale={scale} is not for task={task}; choose another scale: {', '.join(others)}."
    missing = re.search(r"Could not find '([^/']+)/([^']+)'", str(error))
    if missing:
        return _no_such_option(*missing.groups())
    plugin = re.search(r"In 'launcher/(\w+)': Could not load 'hydra/launcher/", str(error))
    if plugin:
        return (
            f"launcher={plugin.group(1)} needs a package that is not installed; "
            "pip install -e '.[launchers]' in the checkout installs it."
        )
    causes: list[BaseException] = [error]
    while cause := causes[-1].__cause__ or causes[-1].__context__:
        causes.append(cause)
    text = "\n".join(map(str, causes))
    full_key = re.search(r"full_key: (\S+)", text)
    unknown = re.search(r"Key '([^']+)' (?:not in|is not in struct)", text)
    if unknown:
        key = full_key.group(1) if full_key else unknown.group(1)
        kind = next(filter(None, (getattr(cause, "object_type", None) for cause in causes)), Config)
        if not is_dataclass(kind):
            return f"unknown configuration key {key}; +{key}=VALUE adds it."
        return _unknown_key(key, [entry.name for entry in fields(kind)])
    if full_key:
        lines = text.splitlines()
        reason = next((line for line in lines if re.search("alue|issing|ptional|ssigned", line)), lines[0])
        value = re.search(r"'([^']*)', expected one of \[(.*)\]", reason)
        suggestion = did_you_mean(value[1], value[2].split(", ")) if value else ""
        return f"configuration key {full_key.group(1)}: {reason.strip().rstrip('.')}.{suggestion}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines)


def plain(cfg: DictConfig) -> dict[str, Any]:
    """The resolved configuration as plain values (JSON)."""
    return OmegaConf.to_container(cfg, resolve=True, enum_to_str=True)  # type: ignore[return-value]
