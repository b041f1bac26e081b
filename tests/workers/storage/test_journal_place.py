"""Whose journals a folder holds: a second cluster is refused there before it touches anything."""

from pathlib import Path

import pytest

from wallaroo.errors import ConfigError, StoreError
from wallaroo_workers.storage.journal_files import list_journals
from wallaroo_workers.storage.journal_place import MARKER, claim_folder


def test_a_folder_belongs_to_the_first_store_that_uses_it(tmp_path: Path) -> None:
    folder = tmp_path / "wallaroo-journals"
    claim_folder(folder, "s3://bucket/one")
    claim_folder(folder, "s3://bucket/one/")
    with pytest.raises(ConfigError, match="belong to the checkpoints at s3://bucket/one") as caught:
        claim_folder(folder, "s3://bucket/two")
    assert "--journal-dir" in caught.value.hint
    assert list_journals(folder) == []
    (folder / MARKER).unlink()
    claim_folder(folder, "s3://bucket/two")


def test_a_folder_within_its_store_needs_no_note_and_moves_with_it(tmp_path: Path) -> None:
    folder = tmp_path / "state" / "journals"
    folder.mkdir(parents=True)
    claim_folder(folder, str(tmp_path / "state"))
    assert list(folder.iterdir()) == []
    with pytest.raises(ConfigError):
        claim_folder(tmp_path / "journals", str(tmp_path / "state"))
        claim_folder(tmp_path / "journals", str(tmp_path / "other"))


def test_a_folder_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot write"):
        claim_folder(tmp_path / "file", "s3://bucket/one")
