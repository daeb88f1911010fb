"""Which drawings can hardly be told apart, and which classes that links into homoglyph groups."""

import numpy as np

NEAR = 0.13  # of full ink: the largest difference of two 3x3 means between drawings that count as one
_WINDOW = 9 * 255  # a 3x3 window full of ink
# Where near pairs are looked for: up to this squared distance of the window means on an 11x11 grid (none was found
# beyond 0.26), and this ratio of ink, with some slack for dots.
_DISTANCE, _INK_RATIO, _INK_SLACK = 0.6, 1.3, 0.5
_BLOCK = 1024


def near_pairs(images: np.ndarray) -> np.ndarray:
    """All pairs of rows that show (nearly) the same drawing: (P, 2) int64, first < second, sorted.

    images: (N, 32, 32) uint8 with some ink each, no two equal. Two drawings are near when no 3x3 window's mean
    differs by more than NEAR of full ink, in place or with one of them moved by a pixel in either direction or
    both. Thin differences along every edge (hinting, rounding) stay below that; an accent turned round does not.
    """
    in_place = _near(images)
    aligned, corner = _aligned(images)
    moved = _near(aligned)
    moved = moved[np.abs(corner[moved[:, 0]] - corner[moved[:, 1]]).max(axis=1, initial=0) <= 1]
    return np.unique(np.sort(np.concatenate([in_place, moved]), axis=1), axis=0)


def components(count: int, links: np.ndarray) -> np.ndarray:
    """The component of each of `count` nodes under undirected links (P, 2): its smallest node, (count,) int64.

    >>> components(4, np.array([[3, 1]])).tolist()
    [0, 1, 2, 1]
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    graph = coo_matrix((np.ones(len(links), bool), (links[:, 0], links[:, 1])), shape=(count, count))
    component = connected_components(graph, directed=False)[1]
    smallest = np.full(component.max() + 1, count)
    np.minimum.at(smallest, component, np.arange(count))
    return smallest[component]


def _near(images):
    """Near pairs in place: by distance of the coarse windows, blocks in the order of ink; then by every window."""
    import torch

    windows = _window_sums(images)
    coarse = windows[:, 1::3, 1::3].reshape(len(images), -1).astype(np.float32) / _WINDOW
    ink = coarse.sum(axis=1)
    order = np.argsort(ink, kind="stable")
    features, ink = torch.from_numpy(coarse[order]), ink[order]
    squares = features.square().sum(dim=1)
    found = []
    for start in range(0, len(order), _BLOCK):
        stop = min(start + _BLOCK, len(order))
        end = int(np.searchsorted(ink, _INK_RATIO * ink[stop - 1] + _INK_SLACK, side="right"))
        # 2 ab - bb >= aa - d: the squared distance is at most d
        score = torch.addmm(squares[None, start:end], features[start:stop], features[start:end].T, beta=-1, alpha=2)
        row, column = torch.nonzero(score >= squares[start:stop, None] - _DISTANCE, as_tuple=True)
        later = column > row
        pair = order[np.stack([row[later].numpy() + start, column[later].numpy() + start], axis=1)]
        pair = pair[np.abs(coarse[pair[:, 0]] - coarse[pair[:, 1]]).max(axis=1, initial=0) <= NEAR]
        everywhere = np.abs(windows[pair[:, 0]] - windows[pair[:, 1]]).max(axis=(1, 2), initial=0)
        found.append(pair[everywhere <= NEAR * _WINDOW])
    return np.concatenate(found)


def _window_sums(images):
    """Sums over 3x3 windows, zero beyond the edge: (N, 32, 32) int16, at most 2,295."""
    padded = np.pad(images.astype(np.int16), [(0, 0), (1, 1), (1, 1)])
    rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    return rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]


def _aligned(images):
    """The images moved so that their strong ink begins one pixel from the upper left corner, and where it began."""
    strong = images >= images.max(axis=(1, 2), keepdims=True) // 2
    corner = np.stack([strong.any(axis=2).argmax(axis=1), strong.any(axis=1).argmax(axis=1)], axis=1)
    aligned = np.zeros_like(images)
    for target, image, (top, left) in zip(aligned, images, corner - 1, strict=True):
        ink = image[max(top, 0) :, max(left, 0) :]
        y, x = max(-top, 0), max(-left, 0)
        target[y : y + len(ink), x : x + ink.shape[1]] = ink[: len(target) - y, : len(target) - x]
    return aligned, corner
