"""Rows are asked about once and for all, whatever the server does."""

import asyncio
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distill.annotation import annotator as annotator_module
from distill.annotation import client as client_module
from distill.annotation.annotator import NOT_ASKED, Annotator
from distill.annotation.client import Client
from distill.annotation.cost import estimate
from distill.annotation.forms import Form
from distill.annotation.prompts import Texts, extras
from distill.annotation.responses import Responses
from distill.core.errors import UserError
from distill.params.annotators import AnnotatorSettings
from tests.annotation.server import Answer, Reply, Server, error, labelled, said, serving, token

LABELS = ("good", "bad")
ROWS: list[Texts] = [(f"text {number}",) for number in range(6)]
KEY = "sk-very-secret"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "FIRST_WAIT", 0.001)
    monkeypatch.setattr(client_module, "ATTEMPTS", 4)
    monkeypatch.setenv("TEST_KEY", KEY)


def settings_of(server: Server, **more: Any) -> AnnotatorSettings:
    given = {"rows": "data/prepared/x", "endpoint": server.address, "model": "m", "key": "TEST_KEY", "timeout": 600.0, **more}
    return AnnotatorSettings.model_validate_json(json.dumps(given))


def ask(server: Server, path: Path, rows: list[Texts] = ROWS, told: list[str] | None = None, **more: Any) -> Annotator:
    """Ask about the rows, and close everything but the answers."""
    settings = settings_of(server, **more)
    annotator = Annotator(settings, Form(LABELS), [(("an example",), "bad")], Responses(path / "responses.sqlite"))

    async def run() -> None:
        client = Client(
            settings, "params.yaml: annotators.x", extras(settings, Form(LABELS)), (told if told is not None else []).append
        )
        try:
            await annotator.ask(rows, client, "ask")
        finally:
            await client.close()

    asyncio.run(run())
    return annotator


def row_of(body: dict[str, Any]) -> str:
    return str(body["messages"][-1]["content"])


def by_row(body: dict[str, Any], _: int) -> Reply:
    return labelled("good" if int(row_of(body).split()[1]) % 2 else "bad")


def test_each_row_is_asked_once_and_never_again(tmp_path: Path) -> None:
    with serving(by_row) as server:
        first = ask(server, tmp_path)
        votes = [first.annotation(first.requests(texts)).votes for texts in ROWS]
        assert votes == [("bad",), ("good",)] * 3
        assert len(server.bodies) == 6
        ask(server, tmp_path)
        assert len(server.bodies) == 6, "a second run sends nothing"
        ask(server, tmp_path, [*ROWS, ("text 9",)])
        assert len(server.bodies) == 7, "of more rows, the new one"
        ask(server, tmp_path, instruction="Other words.")
        assert len(server.bodies) == 13, "another prompt is another request"


def test_what_is_sent(tmp_path: Path) -> None:
    with serving(by_row) as server:
        ask(server, tmp_path, ROWS[:1], descriptions={"bad": "no fun"}, body={"top_p": 0.9})
    (body,), (headers,) = server.bodies, server.headers
    assert [message["role"] for message in body["messages"]] == ["system", "user", "assistant", "user"]
    assert "- good\n- bad: no fun" in body["messages"][0]["content"]
    assert json.loads(body["messages"][2]["content"]) == {"label": "bad"}
    assert (body["model"], body["temperature"], body["top_p"], body["logprobs"]) == ("m", 0.0, 0.9, True)
    assert body["response_format"]["json_schema"]["schema"]["properties"]["label"]["enum"] == ["good", "bad"]
    assert headers["authorization"] == f"Bearer {KEY}"


def test_votes_are_samples_with_seeds_of_their_own(tmp_path: Path) -> None:
    with serving(lambda body, _: labelled("good" if body["seed"] < 2 else "bad")) as server:
        annotator = ask(server, tmp_path, ROWS[:2], votes=5)
        assert annotator.annotation(annotator.requests(ROWS[0])).votes == ("good", "good", "bad", "bad", "bad")
        assert {body["temperature"] for body in server.bodies} == {1.0}
        assert len(server.bodies) == 10


def test_log_probabilities_make_further_votes_needless(tmp_path: Path) -> None:
    tokens = [token('{"label": "', 0.0), token("good", -0.25, bad=-1.5), token('"}', 0.0)]
    with serving(lambda *_: said('{"label": "good"}', tokens)) as server:
        annotator = ask(server, tmp_path, ROWS[:3], votes=5)
        assert len(server.bodies) == 3
        assert annotator.annotation(annotator.requests(ROWS[0])).distribution == pytest.approx({"good": -0.25, "bad": -1.5})


def at_first(*failures: Reply) -> Answer:
    """Fail so often, then answer."""
    return lambda body, number: failures[number - 1] if number <= len(failures) else by_row(body, number)


@pytest.mark.parametrize(
    "failures",
    [
        [error(429, "slow down", retry_after="0.01")],
        [error(500, "oops"), error(503, "still"), error(502, "<html>")],
        [(200, None, {})],
        [(200, b"no json", {}), (200, b"[]", {}), (200, b'{"choices": []}', {})],
    ],
    ids=["429", "5xx", "cut", "malformed"],
)
def test_what_passes_is_sent_again(tmp_path: Path, failures: list[Reply]) -> None:
    with serving(at_first(*failures)) as server:
        annotator = ask(server, tmp_path, ROWS[:2], parallel=1)
        assert all(annotator.annotation(annotator.requests(texts)).votes for texts in ROWS[:2])
        assert len(server.bodies) == 2 + len(failures)


def test_a_slow_answer_is_asked_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None comes before the first is given up; then there is time for one."""
    given_up, post = threading.Event(), client_module.httpx2.AsyncClient.post

    async def posting(http: Any, *arguments: Any, **more: Any) -> Any:
        try:
            return await post(http, *arguments, **more)
        except client_module.httpx2.TimeoutException:
            http.timeout = 600
            given_up.set()
            raise

    def slow(body: dict[str, Any], number: int) -> Reply:
        return by_row(body, number) if given_up.wait(600) else error(400, "no patience was lost")

    monkeypatch.setattr(client_module.httpx2.AsyncClient, "post", posting)
    with serving(slow) as server:
        annotator = ask(server, tmp_path, ROWS[:1], timeout=0.1)
        assert annotator.annotation(annotator.requests(ROWS[0])).votes == ("bad",)


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (error(401, f"bad key {KEY}"), ["annotators.x.key", "$TEST_KEY is refused", "bad key …"]),
        (error(404, "no model m"), ["status 404 (", "no model m", "`model` ('m')"]),
        (error(500, "down"), ["status 500", "4 times", "the answers that came are kept"]),
        (error(400, "no such body"), ["status 400", "no such body", "see `endpoint`, `model` ('m') and `body`"]),
        ((200, None, {}), ["no connection", "see that the server runs"]),
    ],
    ids=["key", "model", "down", "refused", "cut"],
)
def test_what_does_not_pass_is_one_line_and_keeps_what_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reply: Reply, words: list[str]
) -> None:
    monkeypatch.setattr(annotator_module, "MOST_REFUSED", 3)

    def third(body: dict[str, Any], number: int) -> Reply:
        return by_row(body, number) if number <= 2 else reply

    with serving(third) as server:
        with pytest.raises(UserError) as failure:
            ask(server, tmp_path, parallel=1)
        line = str(failure.value)
        assert all(word in line for word in words), line
        assert KEY not in line
        assert "\n" not in line
        server.answer, before = by_row, len(server.bodies)
        ask(server, tmp_path)
        assert len(server.bodies) - before == 4, "the two answers that came are not asked for again"


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (error(400, "content filter"), 'refused by the server: {"error": {"message": "content filter"}}'),
        ((200, b'{"choices": [], "usage": null}', {}), 'no choices in the answer: {"choices": [], "usage": null}'),
        ((200, b'{"choices": null}', {}), 'no choices in the answer: {"choices": null}'),
    ],
    ids=["status", "empty", "null"],
)
def test_a_row_that_the_server_refuses_costs_the_others_nothing_and_is_asked_again(
    reply: Reply, why: str, tmp_path: Path
) -> None:
    tokens = [token('{"label": "', 0.0), token("good", -0.25, bad=-1.5), token('"}', 0.0)]

    def filtered(body: dict[str, Any], _: int) -> Reply:
        if row_of(body) in ("text 0", "text 3"):
            return reply
        return said('{"label": "good"}', tokens if body.get("logprobs") and body.get("response_format") else None)

    told: list[str] = []
    with serving(filtered) as server:
        annotator = ask(server, tmp_path, told=told, parallel=1)
        found = [annotator.annotation(annotator.requests(texts)) for texts in ROWS]
        assert [one.distribution is not None for one in found] == [False, True, True, False, True, True]
        assert [one.why for one in found if one.why] == [why] * 2
        assert told == []
        server.answer = by_row
        again = ask(server, tmp_path)
        assert [bool(again.annotation(again.requests(texts)).votes) for texts in ROWS] == [True] * 6
    with serving(lambda *_: error(400, "who knows")) as server, pytest.raises(UserError, match="status 400 .*who knows"):
        ask(server, tmp_path / "none", ROWS[:2])


def test_without_a_key_the_error_says_where_to_put_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_KEY")
    with (
        serving(lambda *_: error(401, "who are you?")) as server,
        pytest.raises(UserError, match=r"\$TEST_KEY is not set; put a valid key there"),
    ):
        ask(server, tmp_path, ROWS[:1])
    assert "authorization" not in server.headers[0]


def test_no_server(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no connection .*see that the server runs"):
        ask(Server(by_row, "http://127.0.0.1:9/v1"), tmp_path, ROWS[:1])


@pytest.mark.parametrize(
    ("unknown", "requests"), [(["logprobs"], 1), (["response_format"], 2), (["logprobs", "response_format"], 2)]
)
def test_fields_that_a_server_does_not_know_are_left_out(tmp_path: Path, unknown: list[str], requests: int) -> None:
    def strict(body: dict[str, Any], number: int) -> Reply:
        found = [name for name in unknown if name in body]
        return error(422, f"unknown: {found[0]}") if found else by_row(body, number)

    told: list[str] = []
    with serving(strict) as server:
        annotator = ask(server, tmp_path, told=told, parallel=1)
        assert len(server.bodies) == 6 + requests
    assert all(annotator.annotation(annotator.requests(texts)).votes for texts in ROWS)
    assert len(told) == requests
    assert all("does not take" in line for line in told)


@pytest.mark.parametrize(
    ("budget", "answered"), [({"requests": 4}, 4), ({"tokens": 300}, 3), ({"requests": 5, "tokens": 150}, 2)]
)
def test_a_budget_stops_and_a_larger_one_goes_on(tmp_path: Path, budget: dict[str, int], answered: int) -> None:
    with serving(by_row) as server:
        annotator = ask(server, tmp_path, budget=budget, parallel=1)
        found = [annotator.annotation(annotator.requests(texts)) for texts in ROWS]
        assert [bool(one.votes) for one in found] == [True] * answered + [False] * (6 - answered)
        assert {one.why for one in found[answered:]} == {NOT_ASKED}
        ask(server, tmp_path, budget=budget, parallel=1)
        assert len(server.bodies) == answered, "what earlier runs have used counts"
        ask(server, tmp_path)
        assert len(server.bodies) == 6


def test_a_budget_holds_with_requests_in_flight(tmp_path: Path) -> None:
    with serving(by_row) as server:
        ask(server, tmp_path, [(f"text {number}",) for number in range(40)], budget={"requests": 9}, parallel=8)
    assert len(server.bodies) == 9


def test_requests_go_in_parallel_and_at_a_rate(tmp_path: Path) -> None:
    gate = threading.Barrier(3, timeout=600)

    def together(body: dict[str, Any], number: int) -> Reply:
        gate.wait()
        return by_row(body, number)

    with serving(together) as server:
        ask(server, tmp_path, parallel=3)
        assert server.most_flying == 3
    start = time.monotonic()
    with serving(by_row) as server:
        ask(server, tmp_path / "rate", parallel=6, requests_a_minute=1200)
    assert time.monotonic() - start >= 5 * 0.05


def test_a_killed_run_repeats_what_was_in_flight_at_most(tmp_path: Path) -> None:
    class Killed(BaseException):
        """As a signal would be."""

    def kill_at_fourth(annotator: Annotator) -> Callable[..., None]:
        add = annotator.responses.add

        def adding(key: str, response: Any) -> None:
            if len(server.bodies) > 3:
                raise Killed
            add(key, response)

        return adding

    with serving(by_row) as server:
        settings = settings_of(server, parallel=1)
        annotator = Annotator(settings, Form(LABELS), [(("an example",), "bad")], Responses(tmp_path / "responses.sqlite"))
        annotator.responses.add = kill_at_fourth(annotator)  # type: ignore[method-assign]

        async def run() -> None:
            await annotator.ask(ROWS, Client(settings, "x", extras(settings, Form(LABELS)), print), "ask")

        with pytest.raises(Killed):
            asyncio.run(run())
        ask(server, tmp_path)
        assert len(server.bodies) == 4 + 3, "three answers were kept, the one in flight is asked for again"


def test_the_estimate_comes_true(tmp_path: Path) -> None:
    rows: list[Texts] = [(f"{number} " + "word " * (number % 17),) for number in range(60)]

    def counted(body: dict[str, Any], _: int) -> Reply:
        words = sum(len(message["content"].split()) for message in body["messages"])
        usage = {"prompt_tokens": words + 9, "completion_tokens": 6}
        return 200, json.dumps({"choices": [{"message": {"content": '{"label": "bad"}'}}], "usage": usage}).encode(), {}

    prices = {"prompt": 0.5, "answer": 2.0}
    with serving(counted) as server:
        annotator = ask(server, tmp_path, rows[:6], prices=prices)
        before = estimate(annotator, rows)
        annotator = ask(server, tmp_path, rows, prices=prices)
        after = estimate(annotator, rows)
    assert before["left"]["requests"] == 54
    assert after["left"] == {
        "requests": 0,
        "prompt_tokens": 0,
        "answer_tokens": 0,
        "price": 0,
    }
    expected = before["used"]["price"] + before["left"]["price"]
    assert expected == pytest.approx(after["used"]["price"], rel=0.05)
