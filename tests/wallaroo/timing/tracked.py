"""Objects by key that a checkpoint could be taken of: they notice changes that are not noted."""

import pickle
from typing import Any


class TrackedObjects:
    """``KeyedObjects`` that know which keys were noted."""

    def __init__(self, objects: dict[Any, Any] | None = None) -> None:
        self.objects: dict[Any, Any] = objects or {}
        self.noted: set[Any] = set()
        self._before = {key: pickle.dumps(each) for key, each in self.objects.items()}

    def before_change(self, key: Any) -> None:
        self.noted.add(key)

    def remove(self, key: Any) -> None:
        self.noted.add(key)
        del self.objects[key]

    def saved(self) -> dict[Any, Any]:
        """Return copies of all objects, made from pickles of what was noted."""
        for key in self.noted:
            self._before.pop(key, None)
            if key in self.objects:
                self._before[key] = pickle.dumps(self.objects[key])
        self.noted.clear()
        return {key: pickle.loads(pickled) for key, pickled in self._before.items()}
