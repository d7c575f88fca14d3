"""Datasets, one file each: settings that build the dataset.

Adding a dataset is adding a file here with a subclass of `DatasetConfig`, and a file to configs/dataset.
"""

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
