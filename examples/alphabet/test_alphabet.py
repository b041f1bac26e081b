"""The functions of an application are tested without a cluster: call them."""

import alphabet
import make_votes
from alphabet import TotalVotes, Votes


def test_a_payload_is_a_letter_and_a_count():
    data = alphabet.decode_votes(b"q\x00\x00\x01\x02")
    assert (data.letter, data.votes) == ("q", 258)


def test_votes_go_to_the_state_of_their_letter():
    assert alphabet.letter_of(Votes("q", 3)) == "q"


def test_votes_add_up():
    state = TotalVotes()
    alphabet.add_votes(Votes("q", 3), state)
    total, _save_state = alphabet.add_votes(Votes("q", 4), state)
    assert (total.letter, total.votes) == ("q", 7)


def test_the_output_is_a_copy_that_later_votes_leave_alone():
    state = TotalVotes()
    first, _save_state = alphabet.add_votes(Votes("q", 3), state)
    alphabet.add_votes(Votes("q", 4), state)
    assert first.votes == 3


def test_the_output_is_a_line_of_text():
    assert alphabet.encode_votes(Votes("a", 5428)) == b"a => 5428\n"


def test_the_application_is_put_together_without_a_mistake():
    assert alphabet.application_setup(["--in", "127.0.0.1:7010", "--out", "127.0.0.1:7002"])


def test_the_same_seed_makes_the_same_votes():
    assert make_votes.make_votes(50, seed=1) == make_votes.make_votes(50, seed=1)
    assert make_votes.make_votes(50, seed=1) != make_votes.make_votes(50, seed=2)
    assert len(make_votes.make_votes(50, seed=1)) == 50 * 9
