"""One state object for all letters keeps them apart by itself."""

import alphabet_single_state as application
from alphabet_single_state import AllVotes, Votes


def test_a_payload_is_a_letter_and_a_count():
    data = application.decode_votes(b"q\x00\x00\x01\x02")
    assert (data.letter, data.votes) == ("q", 258)


def test_letters_are_counted_apart():
    state = AllVotes()
    application.add_votes(Votes("q", 3), state)
    application.add_votes(Votes("r", 5), state)
    total, _save_state = application.add_votes(Votes("q", 4), state)
    assert (total.letter, total.votes) == ("q", 7)
    assert state.by_letter == {"q": 7, "r": 5}


def test_the_output_is_a_line_of_text():
    assert application.encode_votes(Votes("a", 5428)) == "a => 5428\n"


def test_the_application_is_put_together_without_a_mistake():
    assert application.application_setup(["--in", "127.0.0.1:7010", "--out", "127.0.0.1:7002"])
