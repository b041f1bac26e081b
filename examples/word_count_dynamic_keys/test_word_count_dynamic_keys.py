"""With the word as key, the state is no more than a number."""

import word_count_dynamic_keys as application
from word_count_dynamic_keys import WordCount, WordTotal


def test_a_line_is_split_into_words_of_lower_case():
    assert application.split("The lock, the 2nd boat.") == ["the", "lock", "the", "2nd", "boat"]


def test_the_key_of_a_word_is_the_word():
    assert application.word_itself("boat") == "boat"


def test_a_word_is_counted():
    total = WordTotal()
    application.count_word("boat", total)
    assert application.count_word("boat", total) == (WordCount("boat", 2), True)


def test_the_output_is_a_line_of_text():
    assert application.encode_count(WordCount("boat", 2)) == "boat => 2\n"


def test_the_application_is_put_together_without_a_mistake():
    assert application.application_setup(["--in", "127.0.0.1:7010", "--out", "127.0.0.1:7002"])
