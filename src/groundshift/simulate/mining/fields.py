"""Random fields: fractal Perlin noise, and Gaussian bowls that are distorted at random. Tensors are (B, y, x)."""

import math

import torch
from torch import Tensor

__all__ = ["bent_bowls", "bowls", "distortions", "perlin"]

_LATTICE = (2, 7)
"""Cells of the coarsest octave along an axis."""
_OCTAVES = (1, 5)
_CONTROLS = 5
"""Points along an axis that distort a bowl."""


def perlin(count: int, shape: tuple[int, int], source: torch.Generator, *, octaves: int | None = None) -> Tensor:
    """Draw fractal Perlin noise.

    Parameters
    ----------
    count : int
        Fields.
    shape : (int, int)
        Rows and columns.
    source : torch.Generator
        Its device is that of the fields.
    octaves : int, optional
        By default 1 to 5, drawn for each field.

    Returns
    -------
    (count, y, x) float32 tensor
        -1 to 1, each field scaled to reach one of them.

    Notes
    -----
    As the simulator of Wu et al. (2022): gradient vectors of random length of at most 1, quintic fade, 2 to 7 cells
    along each axis in the first octave and twice as many in each further one, whose amplitude is a share of 0.5 to 1 of
    the one before.
    """
    device = source.device

    def whole(limits: tuple[int, int], *size: int) -> Tensor:
        return torch.randint(limits[0], limits[1] + 1, size, generator=source, device=device)

    cells = whole(_LATTICE, count, 2)
    number = whole(_OCTAVES if octaves is None else (octaves, octaves), count)
    share = 0.5 + 0.5 * torch.rand(count, generator=source, device=device)
    fields = torch.zeros((count, *shape), device=device)
    for octave in range(int(number.max()) if count else 0):
        those = (number > octave).nonzero()[:, 0]
        fields[those] += share[those, None, None] ** octave * _octave(cells[those] * 2**octave, shape, source)
    return fields / fields.abs().amax((1, 2), keepdim=True).clamp_min(1e-6)


def _octave(cells: Tensor, shape: tuple[int, int], source: torch.Generator) -> Tensor:
    """One octave of Perlin noise for each of (B, 2) numbers of cells.

    The vector g at a node adds w(y) w(x) (g_y y + g_x x) at a distance (y, x) from it, with w the fade from 1 at the
    node to 0 one cell away: two products of matrices.
    """
    device, count = source.device, len(cells)
    rows, columns = (int(n) + 1 for n in cells.amax(0))
    angle = 2 * math.pi * torch.rand(count, rows, columns, generator=source, device=device)
    length = torch.rand(count, rows, columns, generator=source, device=device)
    down, row_fade = _distances(cells[:, 0], rows, shape[0])
    right, column_fade = _distances(cells[:, 1], columns, shape[1])
    along_y = (row_fade * down) @ (length * angle.cos())
    along_x = row_fade @ (length * angle.sin())
    return torch.cat([along_y, along_x], 2) @ torch.cat([column_fade, column_fade * right], 2).mT


def _distances(cells: Tensor, nodes: int, pixels: int) -> tuple[Tensor, Tensor]:
    """Distance of each pixel from each node of a lattice in cells, and the node's fade there; (B, pixel, node) each."""
    place = (torch.arange(pixels, device=cells.device) + 0.5) * cells[:, None] / pixels
    away = place[:, :, None] - torch.arange(nodes, device=cells.device)
    t = away.abs().clamp_max(1)
    return away, 1 - t * t * t * (t * (6 * t - 15) + 10)


def bowls(
    centre: Tensor,
    sigma: Tensor,
    angle: Tensor,
    distortion: Tensor,
    flatness: Tensor,
    shape: tuple[int, int],
    source: torch.Generator,
) -> Tensor:
    """Draw distorted Gaussian bowls, each distorted in its own way.

    Parameters
    ----------
    centre, sigma, angle, flatness
        As of `bent_bowls`.
    distortion, shape, source
        As of `distortions`.

    Returns
    -------
    (B, y, x) float32 tensor
        0 to 1.
    """
    return bent_bowls(centre, sigma, angle, flatness, distortions(distortion, shape, source))


def distortions(most: Tensor, shape: tuple[int, int], source: torch.Generator) -> Tensor:
    """Draw fields of vectors that distort bowls.

    Parameters
    ----------
    most : (B,) tensor
        Longest of the vectors at the points that a field is drawn from, pixels.
    shape : (int, int)
        Rows and columns.
    source : torch.Generator
        Its device is that of the fields.

    Returns
    -------
    (B, 2, y, x) float32 tensor
        Rows and columns, pixels.

    Notes
    -----
    As the simulator of Wu et al. (2022): 5 x 5 points spread over the scene, each with a random vector in a disc, shift
    a pixel by the sum of their vectors times 3 t^2 - 2 t^3, t = (1 - d / diagonal)^5 at a distance d.
    """
    device, count = source.device, len(most)
    y, x = ((torch.arange(n, device=device, dtype=torch.float32)) for n in shape)
    rows, columns = ((torch.arange(_CONTROLS, device=device) + 0.5) * n / _CONTROLS for n in shape)
    away = torch.hypot((y - rows[:, None])[:, None, :, None], (x - columns[:, None])[None, :, None, :]).flatten(0, 1)
    t = (1 - away / math.hypot(*shape)).clamp_min(0) ** 5
    turn = 2 * math.pi * torch.rand(count, _CONTROLS**2, generator=source, device=device)
    length = torch.rand(count, _CONTROLS**2, generator=source, device=device).sqrt() * most[:, None]
    vectors = torch.stack([length * turn.cos(), length * turn.sin()], 1)
    return torch.einsum("bck,kyx->bcyx", vectors, (3 - 2 * t) * t * t)


def bent_bowls(centre: Tensor, sigma: Tensor, angle: Tensor, flatness: Tensor, shifts: Tensor) -> Tensor:
    """Make Gaussian bowls of pixels that are shifted.

    Parameters
    ----------
    centre : (B, 2) tensor
        Row and column, pixels; of one outside of the scene the nearest pixel's shift counts.
    sigma : (B, 2) tensor
        Standard deviations along the axes of the bowl, pixels.
    angle : (B,) tensor
        Radians from the rows' axis to the first of these.
    flatness : (B,) tensor
        f in exp(-(d^2)^f / 2): 1 is a Gaussian; above it the floor is flat and the edge steep, as over a wide panel.
    shifts : (B, 2, y, x) tensor
        By how much each pixel is shifted, rows and columns, pixels. The shift at the centre only would move the bowl,
        and is taken out.

    Returns
    -------
    (B, y, x) float32 tensor
        0 to 1, about 1 near the centre.
    """
    rows, columns = shifts.shape[2:]
    each = torch.arange(len(centre), device=centre.device)
    row, column = (centre[:, k].round().long().clamp(0, n - 1) for k, n in enumerate((rows, columns)))
    start = centre + shifts[each, :, row, column]
    y = torch.arange(rows, device=centre.device) - start[:, 0, None]
    x = torch.arange(columns, device=centre.device) - start[:, 1, None]
    dy, dx = shifts[:, 0] + y[:, :, None], shifts[:, 1] + x[:, None, :]
    cosine, sine = angle.cos()[:, None, None], angle.sin()[:, None, None]
    along, across = (
        (dy * cosine + dx * sine) / sigma[:, 0, None, None],
        (dx * cosine - dy * sine) / sigma[:, 1, None, None],
    )
    square = along.square_().add_(across.square_())
    return square.pow_(flatness[:, None, None]).mul_(-0.5).exp_()
