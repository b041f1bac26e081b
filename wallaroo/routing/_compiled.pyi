from collections.abc import Callable
from typing import Any

class Owners:
    def __init__(
        self,
        targets: list[Any],
        hashed_count: int,
        declared: dict[Any, Any],
        known: dict[Any, Any],
        known_max: int,
        slow: Callable[[Any], Any],
    ) -> None: ...
    def find(self, key: Any) -> Any: ...

class Splitter:
    def __init__(
        self,
        rule: str,
        offset: int,
        length: int,
        mark: bytes,
        is_bytes: bool,
        owners: Owners,
        slow: Callable[[Any, list[Any], list[bytes]], None],
        slot_count: int = 16384,
    ) -> None: ...
    def split(self, payloads: list[bytes], keys: list[Any], own: list[bytes]) -> None: ...
