"""Getting data: planned over an area, ordered or found at ASF, downloaded, verified, and laid out for a survey.

What talks to services needs `asf_search` and `hyp3-sdk` and is imported where it is used.
"""

from groundshift.acquire.area import read_area
from groundshift.acquire.disk import check_room
from groundshift.acquire.errors import ClientsMissingError, CredentialsError, CreditsError, ServiceError
from groundshift.acquire.plan import BurstPlan, FilePlan, ImagePlan, Plan, make_plan, read_plan, write_plan
from groundshift.acquire.planning import (
    HYP3_PIXELS,
    Scene,
    bursts_over,
    credits_per_job,
    one_per_day,
    pairs_of,
    unpacked_bytes,
)
from groundshift.acquire.unpack import unpack
from groundshift.acquire.wish import Looks, Product, Wish

__all__ = [
    "HYP3_PIXELS",
    "BurstPlan",
    "ClientsMissingError",
    "CredentialsError",
    "CreditsError",
    "FilePlan",
    "ImagePlan",
    "Looks",
    "Plan",
    "Product",
    "Scene",
    "ServiceError",
    "Wish",
    "bursts_over",
    "check_room",
    "credits_per_job",
    "make_plan",
    "one_per_day",
    "pairs_of",
    "read_area",
    "read_plan",
    "unpack",
    "unpacked_bytes",
    "write_plan",
]
