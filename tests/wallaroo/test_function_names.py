import functools

from wallaroo.function_names import qualified_name, short_name


class Callable:
    def method(self, record: int) -> int:
        return record

    def __call__(self, record: int) -> int:
        return record


def plain(record: int, state: int) -> int:
    return record


def test_a_name_tells_the_module_and_never_an_address() -> None:
    assert qualified_name(plain) == f"{__name__}.plain"
    assert qualified_name(functools.partial(functools.partial(plain, 1), 2)) == f"{__name__}.plain"
    assert qualified_name(Callable) == f"{__name__}.Callable"
    assert qualified_name(Callable().method) == f"{__name__}.Callable.method"
    assert qualified_name(Callable()) == f"{__name__}.Callable"
    assert qualified_name(len) == "builtins.len"


def test_a_short_name_is_the_last_part() -> None:
    assert short_name(plain) == "plain"
    assert short_name(Callable().method) == "method"
