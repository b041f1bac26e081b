import wallaroo


def test_every_public_name_is_there_and_documented() -> None:
    for name in wallaroo.__all__:
        thing = getattr(wallaroo, name)
        assert isinstance(thing, str) or thing.__doc__, name


def test_public_names_are_sorted_and_unique() -> None:
    assert sorted(set(wallaroo.__all__)) == wallaroo.__all__
