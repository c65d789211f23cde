"""What TikTok's endpoints say about the viewer."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.actors.verdict import LoginReason, LoginState, Method
from greenroom.actors.verdict.api import ACCOUNT_INFO, APP_CONTEXT, ENDPOINTS, Answer, judge_answers
from tests.actors.verdict.builders import LOGGED_IN, LOGGED_OUT, UNCERTAIN, VIEWER, decided

ACCOUNT = '{"data":{"user_id":6812345678901234567,"username":"quiet.heron"},"message":"success"}'
EXPIRED = '{"data":{"name":"session_expired","error_code":1},"message":"error"}'
CONTEXT = f'{{"language":"en","user":{VIEWER}}}'


@pytest.mark.parametrize(
    ("endpoint", "body", "state"),
    [
        (ACCOUNT_INFO, ACCOUNT, LOGGED_IN),
        (ACCOUNT_INFO, EXPIRED, LOGGED_OUT),
        (ACCOUNT_INFO, '{"data":{"user_id":0}}', LOGGED_OUT),
        (ACCOUNT_INFO, '{"data":{"user_id":"6812"}}', LOGGED_IN),
        (ACCOUNT_INFO, '{"message":"error"}', UNCERTAIN),
        (ACCOUNT_INFO, CONTEXT, UNCERTAIN),
        (APP_CONTEXT, CONTEXT, LOGGED_IN),
        (APP_CONTEXT, '{"user":{}}', LOGGED_OUT),
        (APP_CONTEXT, '{"language":"en"}', UNCERTAIN),
        (APP_CONTEXT, '{"user":null}', UNCERTAIN),
        (APP_CONTEXT, "<html>", UNCERTAIN),
        (APP_CONTEXT, "", UNCERTAIN),
        ("/elsewhere", CONTEXT, UNCERTAIN),
    ],
)
def test_known_fields_tell(endpoint: str, body: str, state: LoginState) -> None:
    """Only the known fields of an answer are judged; everything else is no evidence."""
    finding = judge_answers([Answer(endpoint, 200, body)])
    assert finding.method is Method.API
    assert decided(*finding.evidence).state is state
    assert (finding.viewer == "quiet.heron") == ("quiet.heron" in body and state is LOGGED_IN)


@pytest.mark.parametrize("status", [0, 204, 302, 403, 429, 500])
def test_refused_endpoint_says_nothing(status: int) -> None:
    """An answer counts only with status 200."""
    assert judge_answers([Answer(ACCOUNT_INFO, status, ACCOUNT)]).evidence == ()


def test_one_endpoint_that_names_the_viewer_is_enough() -> None:
    """Even if the other endpoint has nobody, a proof beats an absence."""
    finding = judge_answers([Answer(ACCOUNT_INFO, 200, EXPIRED), Answer(APP_CONTEXT, 200, CONTEXT)])
    decision = decided(*finding.evidence)
    assert (decision.state, decision.reason) == (LOGGED_IN, LoginReason.VIEWER_API)


@given(st.lists(st.tuples(st.sampled_from([*ENDPOINTS, "/x"]), st.integers(), st.text())))
def test_no_answer_breaks_it(answers: list[tuple[str, int, str]]) -> None:
    """Any answer can be judged."""
    judge_answers([Answer(*answer) for answer in answers])


@given(st.text())
def test_account_name_can_not_forge_a_viewer(name: str) -> None:
    """A name stays a name, whatever characters it has."""
    body = json.dumps({"data": {"user_id": 0, "username": name}})
    assert decided(*judge_answers([Answer(ACCOUNT_INFO, 200, body)]).evidence).state is LOGGED_OUT
