"""A computation with several results returns a list, and is tested like any other function."""

import pytest
import word_count
from word_count import WordCount, WordTotals


def test_a_payload_is_text_in_utf_8():
    assert word_count.decode_line("café".encode()) == "café"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("The lock, the boat.", ["the", "lock", "the", "boat"]),
        ("it's 31 years", ["it's", "31", "years"]),
        ("'quoted' - and dashed", ["quoted", "and", "dashed"]),
        ("...", []),
    ],
)
def test_a_line_is_split_into_words_of_lower_case(line, words):
    assert word_count.split(line) == words


@pytest.mark.parametrize(("word", "key"), [("boat", "b"), ("31", "!"), ("été", "!")])
def test_the_key_of_a_word_is_its_initial(word, key):
    assert word_count.initial_of(word) == key


def test_words_with_one_initial_are_counted_apart():
    totals = WordTotals()
    word_count.count_word("boat", totals)
    word_count.count_word("barge", totals)
    count, _save_state = word_count.count_word("boat", totals)
    assert count == WordCount("boat", 2)
    assert totals.by_word == {"boat": 2, "barge": 1}


def test_the_output_is_a_line_of_text():
    assert word_count.encode_count(WordCount("boat", 2)) == "boat => 2\n"


def test_the_application_is_put_together_without_a_mistake():
    assert word_count.application_setup(["--in", "127.0.0.1:7010", "--out", "127.0.0.1:7002"])
