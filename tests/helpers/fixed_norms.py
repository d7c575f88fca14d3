"""scripts/train.py with every norm's statistics fixed and no dropout: `python fixed_norms.py OVERRIDES`

Rounding then stays rounding over 20 steps. With statistics of batches one step's last digits are the next one's
fourth, even between two memory layouts of one process.
"""

import sys

from a2u.config import compose
from a2u.engine.matting import Matting
from a2u.engine.run import run

if __name__ == "__main__":
    Matting.training_mode = lambda task, cfg, model: model.eval()
    run(compose(sys.argv[1:]))
