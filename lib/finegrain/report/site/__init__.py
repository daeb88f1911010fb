"""The site of results: executed notebooks and figures/ as static pages, which need no server and no network."""

from finegrain._face import lazy

_FACE = {
    "build": "finegrain.report.site._build",
    "published": "finegrain.report.site._published",
}
__all__ = list(_FACE)
__getattr__, __dir__ = lazy(__name__, _FACE)
