"""finegrain: a reproducible research kit for fine-grained categorization and retrieval.

The sub-packages, in the order in which a notebook meets them: `data` (samples), `models` (encoders),
`search` (rankings), `evaluate` (measures and claims), `report` (tables and figures), `memo` (steps remembered on
disk), `run` (execution).
Importing this package imports none of them.
"""

from finegrain import _torchvision
from finegrain.errors import InputError

__all__ = ["InputError", "__version__"]
__version__ = "0.1.0"

_torchvision.watch()
