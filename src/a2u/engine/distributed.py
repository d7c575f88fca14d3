"""The processes of one job: a single one, or those that torchrun started.

Every process runs the same program; rank 0 decides and writes what must be decided or written once.
"""

import datetime
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from a2u.errors import A2UError, ConfigError

Value = TypeVar("Value")
# For a rank that is busy, with a cache or a test set. One that has ended is noticed at once.
LONGEST_WAIT = datetime.timedelta(hours=12)


class LostProcessError(A2UError):
    """Another process of the job has ended."""


def started_by_torchrun() -> bool:
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ


def rank() -> int:
    """Return the rank of this process, 0 .. count() - 1; also outside the process group."""
    if dist.is_initialized():
        return dist.get_rank()
    return int(os.environ["RANK"]) if started_by_torchrun() else 0


def count() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def is_rank_zero() -> bool:
    return rank() == 0


@contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """Join the other processes that torchrun started; do nothing where there are none.

    Raises:
        LostProcessError: another process ended meanwhile.
    """
    if not started_by_torchrun():
        yield
        return
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, timeout=LONGEST_WAIT)
    try:
        yield
    except RuntimeError as error:
        if not _is_of_a_lost_process(error):
            raise
        raise LostProcessError(
            f"process {rank()} of {count()} has lost another process of its job, which failed or was killed (its own "
            "message says why); the same command resumes from the last checkpoint."
        ) from error
    finally:
        dist.destroy_process_group()


def _is_of_a_lost_process(error: RuntimeError) -> bool:
    return isinstance(error, dist.DistError) or "gloo" in str(error) or "NCCL" in str(error)


def from_rank_zero(decide: Callable[[], Value]) -> Value:
    """Call `decide` in rank 0 and return its value in every process; an A2UError is raised in all of them."""
    if count() == 1:
        return decide()
    box: list[Any] = [None]
    if is_rank_zero():
        try:
            box = [(decide(), None)]
        except A2UError as error:
            box = [(None, error)]
    dist.broadcast_object_list(box)
    value, refusal = box[0]
    if refusal is not None:
        raise refusal
    return value


def gathered(value: Value) -> list[Value]:
    """All-gather: return every process's value, by rank."""
    if count() == 1:
        return [value]
    values: list[Any] = [None] * count()
    dist.all_gather_object(values, value)
    return values


def mean(value: Tensor) -> Tensor:
    """All-reduce a tensor without gradient to its mean over processes, in place."""
    if count() > 1:
        dist.all_reduce(value)
        value /= count()
    return value


def share_of(total: int) -> range:
    """Return this rank's part of 0 .. total - 1; parts follow each other by rank."""
    return range(total * rank() // count(), total * (rank() + 1) // count())


def share_of_batch(batch_size: int, parts: int = 1) -> int:
    """Return the number of samples per process. Raises ConfigError if the batch cannot be shared equally."""
    if batch_size % (count() * parts):
        in_parts = f", each in trainer.accumulate={parts} parts" if parts > 1 else ""
        raise ConfigError(
            f"trainer.batch_size={batch_size} is the batch of all processes together, and {count()} processes"
            f"{in_parts} cannot share it equally: set a multiple of {count() * parts}, or start another number of them."
        )
    return batch_size // count()


def parallel(model: nn.Module) -> nn.Module:
    """Wrap `model` so that its backward pass averages the gradients of all processes."""
    # Norms are synchronised, so statistics are equal in all processes already.
    return DistributedDataParallel(model, broadcast_buffers=False) if count() > 1 else model


def no_sync_if(model: nn.Module, hold: bool) -> AbstractContextManager[Any]:
    """If `hold`, do not all-reduce the gradients of a backward pass inside; the next one does."""
    return model.no_sync() if hold and isinstance(model, DistributedDataParallel) else nullcontext()
