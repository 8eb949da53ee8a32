"""Waiting, trying again, and who is shown a token."""

import base64
import copy
import json
import re
import stat
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

pytest.importorskip("asf_search", reason="asf_search is not installed")
pytest.importorskip("hyp3_sdk", reason="hyp3-sdk is not installed")

from tests.acquire.services import HYP3, LOGIN, OPERA, PRODUCTS, TOKEN, Reply, problem

from groundshift.acquire import CredentialsError, ServiceError
from groundshift.acquire._session import Session, find_credentials, log_in

COSTS = f"https://{HYP3}/costs"
USER = f"https://{HYP3}/user"


@pytest.fixture
def session(services, waits):
    return Session(TOKEN, "EARTHDATA_TOKEN", sleep=waits.append)


def jwt(**claims):
    return (
        ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({}, claims))
        + ".x"
    )


def test_throttling_is_waited_for_as_long_as_is_asked(services, session, waits):
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    services.fail(HYP3, *(Reply(429, headers={"Retry-After": t}) for t in ("7", "0", later, "soon")), Reply(429))
    told = []
    session.tell = told.append
    assert session.get(COSTS).status_code == 200
    assert waits[:2] == [7, 1]
    assert 95 < waits[2] <= 100
    assert waits[3:] == [16, 32]
    assert told[0] == f"{HYP3} is throttling (429); trying again in 7 s"


@pytest.mark.parametrize("replies", [[Reply(429, headers={"Retry-After": "1700"})] * 2, [Reply(429)] * 40])
def test_throttling_is_not_waited_for_without_end(services, session, waits, replies):
    services.fail(HYP3, *replies)
    with pytest.raises(ServiceError, match=rf"^{HYP3} is throttling \(429\).*; run the same command again"):
        session.get(COSTS)
    assert sum(waits) <= 1800


def test_a_service_that_is_down_is_asked_five_times(services, session, waits):
    services.fail(HYP3, Reply(503, b"<html>maintenance</html>"), Reply(500), Reply(504), Reply(502))
    assert session.get(COSTS).status_code == 200
    assert waits == [2, 4, 8, 16]
    services.fail(HYP3, *[Reply(503)] * 5)
    line = f"{HYP3} is down (503); run the same command again later, what is done is kept"
    with pytest.raises(ServiceError, match=f"^{re.escape(line)}$"):
        session.get(COSTS)


def test_what_must_not_happen_twice_is_not_sent_twice(services, session, waits):
    services.fail(HYP3, Reply(429), Reply(500))
    with session.once(), pytest.raises(ServiceError, match=r"is down \(500\)"):
        session.post(f"https://{HYP3}/jobs", json={})
    # One that was refused unseen was sent again.
    assert len(services.asked(HYP3, "POST")) == 2
    assert waits == [2]


def test_a_host_that_does_not_answer_is_named_without_its_url(services, waits):
    services.fail(PRODUCTS, *[Reply(cut_at=0, body=b"never")] * 9)
    session = Session(sleep=waits.append)
    with pytest.raises(ServiceError) as caught:
        session.get(f"https://{PRODUCTS}/a.zip?Signature=hush")
    assert str(caught.value).startswith(f"{PRODUCTS} ")
    assert "hush" not in str(caught.value)


def test_a_token_is_shown_to_nasa_and_asf_only(services, session):
    assert session.get(f"https://{OPERA}/OPERA/x/y.h5").ok
    shown = {s.host: s.headers.get("Authorization") for s in services.seen}
    assert shown == {OPERA: f"Bearer {TOKEN}", "s3.us-west-2.amazonaws.com": None}
    session.get(f"https://{PRODUCTS}/a.zip")
    session.get(f"http://{HYP3}/costs")
    session.get("https://asf.alaska.edu.example.com/")
    assert [s.headers.get("Authorization") for s in services.seen[2:]] == [None] * 3


def test_without_a_token_nobody_is_told_who_asks(services, tmp_path):
    (tmp_path / "netrc").write_text("default login ann password open-sesame\n")
    Session().get(COSTS)
    assert "Authorization" not in services.seen[0].headers
    assert copy.copy(Session()).get(COSTS).ok


@pytest.mark.parametrize("old", ["expired", "login page"])
def test_a_token_that_is_no_longer_good_is_told(services, waits, old):
    session = Session("old", "EARTHDATA_TOKEN", sleep=waits.append)
    url, host = (USER, HYP3) if old == "expired" else (f"https://{OPERA}/a.h5", LOGIN)
    with pytest.raises(CredentialsError, match=rf"^{host} refuses the token from EARTHDATA_TOKEN .* make a new one at"):
        session.get(url)
    assert waits == []


def test_permission_that_is_missing_is_told_with_the_reason(services, session):
    services.fail(HYP3, problem(403, "User ann has not yet applied for a monthly credit allotment."))
    with pytest.raises(
        CredentialsError, match=r"no permission \(403\): User ann has not yet applied .* accept its terms"
    ):
        session.get(USER)


def test_credentials_are_found_where_they_usually_are(services, tmp_path):
    with pytest.raises(CredentialsError, match=r"^no Earthdata credentials; set EARTHDATA_TOKEN, or .* ~/\.netrc"):
        find_credentials({})
    (tmp_path / "netrc").write_text(f"machine {LOGIN} login ann password open-sesame\n")
    (tmp_path / "netrc").chmod(stat.S_IRUSR)
    assert find_credentials({}).login == ("ann", "open-sesame")
    named = {"EARTHDATA_USERNAME": "bob", "EARTHDATA_PASSWORD": "hush"}
    assert find_credentials(named).login == ("bob", "hush")
    assert find_credentials({**named, "EARTHDATA_TOKEN": " tok\n"}).token == "tok"
    line = "EARTHDATA_USERNAME is set, EARTHDATA_PASSWORD is not; set both, or EARTHDATA_TOKEN"
    with pytest.raises(CredentialsError, match=f"^{line}$"):
        find_credentials({"EARTHDATA_USERNAME": "bob"})


def test_a_token_that_says_that_it_has_expired_is_not_sent():
    with pytest.raises(CredentialsError, match=r"^EARTHDATA_TOKEN: expired on 2001-09-09; make a new token at https"):
        find_credentials({"EARTHDATA_TOKEN": jwt(exp=1_000_000_000)})
    later = jwt(exp=32_503_680_000)
    assert find_credentials({"EARTHDATA_TOKEN": later}).token == later


def test_name_and_password_are_changed_for_a_token(services):
    found = find_credentials({"EARTHDATA_USERNAME": "ann", "EARTHDATA_PASSWORD": "open-sesame"})
    session = log_in(found, Session)
    assert session.get(USER).json()["user_id"] == "ann"
    wrong = find_credentials({"EARTHDATA_USERNAME": "ann", "EARTHDATA_PASSWORD": "wrong-word"})
    with pytest.raises(
        CredentialsError, match=r"^Earthdata Login refuses the name and password of .* \(401\)"
    ) as caught:
        log_in(wrong, Session)
    assert "wrong-word" not in f"{caught.value} {wrong!r} {found!r}"
    services.fail(LOGIN, Reply(body=b"<html>"))
    with pytest.raises(ServiceError, match=r"^Earthdata Login answers 200 without a token; make one at"):
        log_in(found, Session)


def test_a_copy_of_a_session_is_as_careful():
    session = copy.copy(Session("secret", "EARTHDATA_TOKEN"))
    assert (session.token, session.source) == ("secret", "EARTHDATA_TOKEN")
    assert "secret" not in repr(session)
