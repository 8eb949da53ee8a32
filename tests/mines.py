"""A small scene over a mine whose every number is known: a bowl that sinks faster one day, and air over one date."""

from datetime import date, timedelta

import numpy as np

SHAPE = (96, 96)
TRACK = "mines-7-0"
DATES = [date(2015, 1, 5) + timedelta(12 * k) for k in range(10)]
BOWL, AIR, WIDTH = (34, 40), (72, 68), 6.0
"""Rows and columns of the middles, standard deviation in pixels of 20 m."""
WET = 5
"""Index of the date with air."""
SLOW, FAST = 4.0, 8.0
"""Radians that the middle of the bowl sinks by between two dates, up to and from `DATES[4]` on."""
TURN = DATES[4]
PER_RADIAN_MM = 1000 * 0.05546576 / (4 * np.pi)
PER_YEAR = 365.25 / 12
RULES = ("--bowl-detector", "rules", "--detector", "rules", "--foresight", "none", "--unwrapper", "whirlwind")


def hill(middle, shape=SHAPE, width=WIDTH):
    """A Gaussian of height one."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    return np.exp(-((y - middle[0]) ** 2 + (x - middle[1]) ** 2) / (2 * width**2))


def make_scenes():
    """The scene as the simulator has it."""
    import torch

    from groundshift.simulate.mining.scenes import MiningScenes

    dates = len(DATES)
    shapes, courses = torch.zeros(1, 5, *SHAPE), torch.zeros(1, 5, dates)
    shapes[0, 0] = torch.tensor(hill(BOWL))
    courses[0, 0] = torch.tensor(np.cumsum([0, *[SLOW] * 4, *[FAST] * 5]))
    delays = torch.zeros(1, dates, *SHAPE)
    delays[0, WET] = torch.tensor(7 * hill(AIR))
    return MiningScenes(
        shapes, courses, delays, coherence=torch.full((1, *SHAPE), 0.9), memory=torch.tensor([400.0]),
        looks=torch.tensor([12.0]), days=12.0 * torch.arange(dates), seed=7,
    )  # fmt: skip
