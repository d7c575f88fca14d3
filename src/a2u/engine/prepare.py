"""Build and check everything a run needs, once, before anything is written."""

import os
import warnings
from dataclasses import dataclass

import torch
from omegaconf import DictConfig, OmegaConf
from torch import nn

from a2u.data import prepare_data
from a2u.engine import distributed
from a2u.engine.distributed import from_rank_zero
from a2u.engine.identity import Places, identity
from a2u.engine.provenance import commit
from a2u.engine.tasks.base import Task
from a2u.engine.tasks.matting import Matting
from a2u.engine.tasks.probe import Probe
from a2u.engine.tasks.reconstruction import Reconstruction
from a2u.errors import ConfigError
from a2u.models import build_model, tiled
from a2u.models.networks.base import MattingNetwork
from a2u.models.norms.synchronised import synchronise
from a2u.models.weights.initial import Start, start_from
from a2u.settings import plain, validate

TASKS: dict[str, type[Task]] = {"matting": Matting, "reconstruction": Reconstruction, "probe": Probe}


@dataclass(frozen=True)
class Run:
    """One run, checked and ready; every later step receives it."""

    cfg: DictConfig
    hash: str  # identity of cfg
    places: Places
    code: tuple[str, bool]  # commit at the start, and whether the code differed from it
    device: torch.device
    model: nn.Module  # on the device, with its initial values
    task: Task
    start: Start | None  # what the model took from cfg.init_from; None: there is none


def prepare(cfg: DictConfig) -> Run:
    """Build and check everything a run needs; write nothing.

    Raises:
        ConfigError, DataError: something cannot be used.
    """
    code, hash = commit(), identity(cfg)
    _check_values(cfg)
    if cfg.runtime.threads is not None:
        torch.set_num_threads(cfg.runtime.threads)
    model = make_model(cfg)
    _check_network(cfg, model)
    device = choose_device(cfg.runtime.device)
    if distributed.count() > 1:
        from_rank_zero(lambda: prepare_data(cfg.dataset))  # rank 0 alone fills the cache
        synchronise(model)
    task = _make_task(cfg, device)
    task.prepare_training(cfg, model)
    start = _start(cfg, model)
    if start is not None:
        task.train_names = list(dict.fromkeys([*task.train_names, *start.train_names]))
    if cfg.runtime.channels_last:
        channels_last(model)
    return Run(cfg, hash, Places.of(cfg), code, device, model.to(device), task, start)


def check(cfg: DictConfig) -> None:
    """Refuse impossible values and combinations without reading data or initialising weights. Raises ConfigError."""
    _check_values(cfg)
    with torch.device("meta"):
        model = make_model(cfg)
    _check_network(cfg, model)


def check_surroundings(cfg: DictConfig) -> None:
    """Refuse a device, dataset or weights to start from that a run of a checked `cfg` could not use.

    Rows of a table share these, so the first one finds out for all. The network has no values.

    Raises:
        ConfigError, DataError: something cannot be used.
    """
    task = _make_task(cfg, choose_device(cfg.runtime.device))
    with torch.device("meta"):
        model = make_model(cfg)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*to a meta parameter", UserWarning)  # the file is read and compared alone
        task.prepare_training(cfg, model)
        _start(cfg, model)


def _start(cfg: DictConfig, model: nn.Module) -> Start | None:
    """Load the weights of `cfg.init_from`, if any. Raises ConfigError."""
    return None if cfg.init_from is None else start_from(model, cfg.init_from, cfg.init_from_sha256)


def _make_task(cfg: DictConfig, device: torch.device) -> Task:
    task = TASKS[cfg.task.name](cfg.dataset, cfg.metrics, device, evaluation_threads(cfg))
    task.tile = cfg.runtime.tile
    return task


def _check_values(cfg: DictConfig) -> None:
    check_parts(cfg, cfg.task.name, f"task={cfg.task.name}")
    validate(cfg)


def _check_network(cfg: DictConfig, model: nn.Module) -> None:
    if cfg.trainer.epochs < 1 and any(True for _ in model.parameters()):
        raise ConfigError(f"trainer.epochs must be at least 1; got {cfg.trainer.epochs}.")
    TASKS[cfg.task.name].check(cfg, model)
    if distributed.count() > 1:
        _check_shared(cfg)
    check_tile(cfg.runtime.tile, model)


def _check_shared(cfg: DictConfig) -> None:
    """Refuse what the synchronised batch norms of several processes cannot do. Raises ConfigError."""
    distributed.share_of_batch(cfg.trainer.batch_size, OmegaConf.select(cfg, "trainer.accumulate") or 1)
    if plain(cfg.upsampler).get("calibrate"):
        raise ConfigError(
            "upsampler.calibrate=true measures the first batch of one process: leave it out with several."
        )
    if cfg.runtime.recompute:
        raise ConfigError("runtime.recompute=true does not work with several processes: leave it out.")
    if plain(cfg.model).get("norm") == "inplace_abn":
        raise ConfigError("model.norm=inplace_abn cannot be synchronised over processes: set model.norm=batch.")


def check_parts(cfg: DictConfig, task: str, asker: str) -> None:
    """Refuse a network, dataset, trainer or metric of another task. Raises ConfigError.

    asker: what needs `task`, in words.
    """
    for key, kind in TASKS[task].parts.items():
        found: type | None = OmegaConf.get_type(cfg, key) if key in cfg else None
        if found is not None and not issubclass(found, kind):
            name = OmegaConf.select(cfg, f"{key}.name")
            what = f"{key}={getattr(name, 'name', name)}" if name else f"{key} as composed"
            owner = next((name for name, other in TASKS.items() if issubclass(found, other.parts[key])), "another task")
            raise ConfigError(f"{what} is for {owner}, but {asker} is for {task}: choose {TASKS[task].goes_with()}.")


def check_tile(tile: int | None, model: nn.Module) -> None:
    """Refuse a `runtime.tile` that the network does not support. Raises ConfigError."""
    if tile is None:
        return
    if not isinstance(model, MattingNetwork):
        raise ConfigError(f"runtime.tile={tile} is for photographs; this network takes small pictures: leave it out.")
    try:
        tiled.check_tile(model, tile)
    except ValueError as error:
        raise ConfigError(f"runtime.tile={tile}: {error}") from error


def make_model(cfg: DictConfig) -> nn.Module:
    """Build the network with the initial values of cfg.seed. Raises ConfigError for an impossible option."""
    torch.manual_seed(cfg.seed)
    try:
        return build_model(cfg)
    except ConfigError:
        raise
    except ValueError as error:
        said = str(error)
        of_operator = said.startswith(f"{cfg.upsampler.name}: ")  # which does not know what it is called here
        raise ConfigError(f"upsampler={said}" if of_operator else said) from error


def channels_last(model: nn.Module) -> None:
    """Lay out the weights of convolutions channels last; the maps follow."""
    for parameter in model.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


def choose_device(name: str) -> torch.device:
    """Choose the device: "auto" is the GPU if there is one. Each rank takes its own.

    Raises ConfigError if the device does not exist.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and distributed.started_by_torchrun():
        name = f"cuda:{os.environ['LOCAL_RANK']}"
    try:
        device = torch.device(name)
        torch.ones((), device=device).item()  # which has a value, unlike on the device meta
        if device.type == "cuda" and device.index is not None:
            torch.cuda.set_device(device)  # streams and graphs are made on the current one
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"runtime.device={name} cannot be used here: {reason}; use auto or cpu.") from error
    return device


def evaluation_threads(cfg: DictConfig) -> int:
    """Return the number of threads that read and measure test cases.

    By default as many as PyTorch has, so that rows side by side keep to a core each.
    """
    return cfg.runtime.evaluation_threads or torch.get_num_threads()
