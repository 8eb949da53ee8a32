"""The table of detectors, after Table 2 of Fu et al. (2022): trained alike, judged on held-out scenes and on Danba.

    python benchmarks/detectors.py WORK [--train 400] [--tiles 16000] [--seeds 0 1 2] [--only NAME ...] [--ablation]
                                        [--danba $GROUNDSHIFT_DATA/danba]

Simulates samples (seeds from 100,000 on to learn from, from 900,000 on to judge by; no scene is in both), trains every
network on as many tiles, judges it and prints a row. All that is finished in WORK is kept, so that a stopped run goes on.
Widths are chosen so that all networks cost about as much arithmetic a tile. Bodies that stand out of the noise by fewer
than `--visible` standard errors count neither way: nobody could have drawn them.
"""

import argparse
import json
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from danba import SLIDE

from groundshift.io import open_stack
from groundshift.training.config import TrainConfig
from groundshift.workflows.config import DetectConfig, StackConfig, SurveyConfig
from groundshift.workflows.judging import JudgingConfig, run_judging
from groundshift.workflows.progress import Reporter
from groundshift.workflows.sampling import SamplingConfig, run_sampling
from groundshift.workflows.survey import conclude, survey_track
from groundshift.workflows.training import run_training

PAPER = {"optimiser": "paper", "rate": 1e-3}
NETWORKS = {
    "yolov3": ({"network": "yolov3", "width": 0.25, "attention": False, "dropblock": False, "box_loss": "mse"}, PAPER),
    "a-yolov3-r": ({"network": "attention_yolov3_r", "width": 0.25}, PAPER),
    "a-yolov3-t": ({"network": "attention_yolov3_t", "width": 0.75}, PAPER),
    "ours": ({"network": "bodynet"}, {}),
}
"""Settings of the model and of the plan."""
ABLATION = {
    "a-yolov3-r, no attention": ({"network": "attention_yolov3_r", "width": 0.25, "attention": False}, PAPER, {}),
    "a-yolov3-r, no DropBlock": ({"network": "attention_yolov3_r", "width": 0.25, "dropblock": False}, PAPER, {}),
    "a-yolov3-r, MSE for CIoU": ({"network": "attention_yolov3_r", "width": 0.25, "box_loss": "mse"}, PAPER, {}),
    "a-yolov3-r, hard labels": ({"network": "attention_yolov3_r", "width": 0.25, "label_smoothing": 0.0}, PAPER, {}),
    "a-yolov3-r, no mosaic": ({"network": "attention_yolov3_r", "width": 0.25}, PAPER, {"mosaic": 0.0}),
    "ours, no mosaic": ({"network": "bodynet"}, {}, {"mosaic": 0.0}),
    "ours, one direction": ({"network": "bodynet_single"}, {}, {}),
    "ours, boxes for masks": ({"network": "bodynet_boxes"}, {}, {}),
}
