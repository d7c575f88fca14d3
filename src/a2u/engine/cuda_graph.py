"""Record a training step as a CUDA graph: a small network otherwise spends its time launching kernels."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

WARM_UP = 3  # steps on a side stream before the capture, which PyTorch asks for


class CapturedStep:
    """Forward pass, loss and backward pass of one batch shape, as one graph that is launched at once.

    The network's state is the same after the recording as before it. The optimizer is not part of the graph, so
    that learning rates may change. Batches must all have the shape of the first.

    Args:
        model: on a GPU; no dropout or other draw in it.
        loss: of a batch, a scalar.
    """

    def __init__(self, model: nn.Module, loss: Callable[[Tensor], Tensor]) -> None:
        self.model, self.loss = model, loss
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, batch: Tensor) -> Tensor:
        if self.graph is None:
            self.graph = self._record(batch)
        self.batch.copy_(batch)
        self.graph.replay()
        return self.value

    def _record(self, batch: Tensor) -> torch.cuda.CUDAGraph:
        self.batch = batch.clone()
        before = {name: value.clone() for name, value in self.model.state_dict().items()}
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                self.model.zero_grad(set_to_none=True)
                self.loss(self.batch).backward()
        torch.cuda.current_stream().wait_stream(stream)
        self.model.zero_grad(set_to_none=True)  # the graph allocates the gradients, and always writes to the same ones
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            loss = self.loss(self.batch)
            loss.backward()
            self.value = loss.detach()
        self.model.load_state_dict(before)  # running statistics of norms have moved
        return graph
