"""Memory of tensors, counted as they are made and let go: the same whatever ran in the process before."""

import weakref

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Held(TorchDispatchMode):
    """Bytes of the storages that were made inside and still live; `peak` is the most at once."""

    def __init__(self):
        super().__init__()
        self.now = self.peak = 0
        self.known = {}  # storage -> weak reference, whose end takes its bytes away

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        given = {id(each.untyped_storage()) for each in tree_leaves((args, kwargs)) if isinstance(each, torch.Tensor)}
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, torch.Tensor):
                storage = leaf.untyped_storage()
                if id(storage) not in given and id(storage) not in self.known:
                    self._add(storage)
        return out

    def _add(self, storage):
        key, size = id(storage), storage.nbytes()

        def gone(_):
            del self.known[key]
            self.now -= size

        self.known[key] = weakref.ref(storage, gone)
        self.now += size
        self.peak = max(self.peak, self.now)


def peak_mb(work):
    """Most MB of tensors that `work` makes and holds at once."""
    with Held() as held:
        work()
    return held.peak / 2**20
