"""Orders at HyP3: nothing twice, whatever breaks in between."""

import re

import pytest

pytest.importorskip("asf_search", reason="asf_search is not installed")
pytest.importorskip("hyp3_sdk", reason="hyp3-sdk is not installed")

from tests.acquire.services import HYP3, TOKEN, Reply, problem

from groundshift.acquire import CredentialsError, CreditsError, ServiceError, credits_per_job
from groundshift.acquire._orders import Job, Orders
from groundshift.acquire._session import Session

PAIRS = [
    (f"S1_136231_IW2_2020{a}T022312_VV_7C85-BURST", f"S1_136231_IW2_2020{b}T022312_VV_5D11-BURST")
    for a, b in [("0604", "0616"), ("0604", "0628"), ("0616", "0628")]
]


@pytest.fixture
def orders(services, waits):
    return Orders(Session(TOKEN, "EARTHDATA_TOKEN", sleep=waits.append), "groundshift-T064-aa", "20x4")


def test_prices_are_told_to_anybody(services):
    orders = Orders(Session(), "groundshift-T064-aa", "20x4")
    assert credits_per_job(orders.costs(), "20x4") == 1
    assert [s.host for s in services.seen] == [HYP3]
    with pytest.raises(ServiceError, match=r"^HyP3 refuses: No authorization token provided; change"):
        orders.credits_left()


def test_what_was_ordered_is_found_again(services, orders):
    assert orders.find() == {}
    jobs = orders.order(PAIRS, {})
    assert {g: job.state for g, job in jobs.items()} == dict.fromkeys(PAIRS, "waiting")
    assert orders.find() == jobs
    sent = services.jobs[0]
    assert (sent["job_type"], sent["name"]) == ("INSAR_ISCE_BURST", "groundshift-T064-aa")
    assert sent["job_parameters"] == {"granules": list(PAIRS[0]), "apply_water_mask": False, "looks": "20x4"}
    done = orders.find()[PAIRS[0]]
    assert done.state == "ready"
    assert (done.name, done.size) == (
        "S1_136231_IW2_20200604_20200616_VV_INT80_12E3.zip",
        len(services.products(PAIRS[0])[1]),
    )
    assert Orders(orders._session, "groundshift-T064-aa", "5x1").find() == {}
    assert orders.credits_left() == 7997


def test_an_order_goes_out_in_parts_of_two_hundred(services, orders):
    many = [(f"S1_{k:06d}_IW2_20200604T022312_VV_7C85-BURST", PAIRS[0][1]) for k in range(450)]
    assert len(orders.order(many, {})) == 450
    assert [s.body.count('"job_type"') for s in services.asked(HYP3, "POST")] == [200, 200, 50]


def test_an_order_of_which_nobody_knows_whether_it_came_is_looked_up(services, orders, waits):
    # Two of three arrived, and the answer did not.
    services.fail(HYP3, Reply(502))
    services._order([
        {"name": "groundshift-T064-aa", "job_parameters": {"granules": list(g), "looks": "20x4"}} for g in PAIRS[:2]
    ])  # fmt: skip
    jobs = orders.order(PAIRS, {})
    assert sorted(jobs) == sorted(PAIRS)
    assert len(services.jobs) == 3
    assert waits == [5]


def test_an_order_that_fails_time_and_again_is_told(services, orders):
    for _ in range(4):
        services.fail(HYP3, Reply(500), *([Reply(body=b'{"jobs": []}')] if _ < 3 else []))
    with pytest.raises(ServiceError, match=rf"^{HYP3} is down \(500\); run the same command again later"):
        orders.order(PAIRS, {})
    assert len(services.asked(HYP3, "POST")) == 4


def test_too_few_credits_are_told_by_the_service(services, orders):
    services.user["remaining_credits"] = 2
    line = "HyP3 refuses the order: These jobs would cost 3 credits, but you have only 2 remaining; ask for fewer"
    with pytest.raises(CreditsError, match=f"^{re.escape(line)}"):
        orders.order(PAIRS, {})
    assert services.jobs == []


def test_a_refusal_is_told_once(services, orders):
    services.fail(HYP3, problem(400, "Some requested scenes do not have DEM coverage: S1_136231"))
    with pytest.raises(ServiceError, match=r"^HyP3 refuses: Some requested scenes .* DEM coverage: S1_136231;"):
        orders.order(PAIRS, {})
    assert len(services.seen) == 1


def test_a_token_that_has_expired_is_told(services):
    old = Orders(Session("old", "EARTHDATA_TOKEN"), "name", "20x4")
    with pytest.raises(CredentialsError, match=rf"^{HYP3} refuses the token from EARTHDATA_TOKEN \(401\)"):
        old.find()


@pytest.mark.parametrize("answer", [b"<html>", b"{}", b'{"jobs": [{"job_id": "x"}]}', b'{"jobs": 3}'])
def test_an_answer_that_is_none_is_told(services, orders, answer):
    services.fail(HYP3, Reply(body=answer))
    with pytest.raises(ServiceError, match=r"^HyP3 answers something unknown \(\w+\); bring hyp3_sdk up to date$"):
        orders.find()


def test_a_product_with_a_place_for_a_name_is_not_taken(services, orders):
    services.products = lambda granules: ("../../outside", b"zip")
    orders.order(PAIRS[:1], {})
    orders.find()
    with pytest.raises(ServiceError, match=r"^HyP3 answers something unknown"):
        orders.find()


def test_of_several_jobs_the_best_counts_and_a_new_order_before_an_old_failure(services, orders):
    orders.order(PAIRS[:1] * 3, {})
    for job, changes in zip(
        services.jobs,
        [{"status_code": "FAILED"}, {"status_code": "SUCCEEDED", "expiration_time": "2001-01-01T00:00:00+00:00"},
         {"status_code": "RUNNING"}],
        strict=True,
    ):  # fmt: skip
        job.update(changes)
    assert orders.find()[PAIRS[0]] == Job("job-2", "waiting")
    del services.jobs[2]
    assert orders.find()[PAIRS[0]] == Job("job-0", "failed")
    known = {PAIRS[0]: Job("job-9", "waiting")}
    assert orders.refresh(known) == known
    assert orders.refresh({})[PAIRS[0]].state == "failed"
