"""What the scripts have in common: Hydra in front, one sentence for an error that is the user's to mend."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import hydra
from omegaconf import DictConfig

from a2u.config import CONFIG_DIR, compose, refuse_incomplete
from a2u.errors import A2UError


@contextmanager
def sentence() -> Iterator[None]:
    """End the program with the error's sentence on stderr and status 2, where it is the user's to mend."""
    try:
        yield
    except A2UError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit("stopped; the same command goes on from the last checkpoint")


def main(config_name: str, work: Callable[[DictConfig], None]) -> None:
    """Compose configs/<config_name>.yaml with the command line and call `work`."""

    @hydra.main(version_base="1.3", config_path=str(CONFIG_DIR), config_name=config_name)
    def entry(cfg: DictConfig) -> None:
        with sentence():
            refuse_incomplete(cfg)
            work(cfg)

    overrides = sys.argv[1:]
    if not any(argument.startswith("-") for argument in overrides):
        with sentence():  # clearer than Hydra's own message
            compose(overrides, config_name)
    entry()
