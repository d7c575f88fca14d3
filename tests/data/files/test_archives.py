"""Unpack archives: whole ones as the standard library does; malicious and damaged ones leave nothing behind."""

import bz2
import gzip
import io
import lzma
import multiprocessing
import signal
import tarfile
import time
import zipfile

import pytest

from a2u.data.files import archives
from a2u.data.files.archives import unpack
from a2u.errors import DataError

FILES = {
    "Train/FG/a.png": bytes(range(256)) * 40,
    "Train/GT/a.png": b"alpha",
    "Test/names with spaces/é.txt": b"",
    "readme.txt": b"read me\n" * 1000,
}
FORMS = ("data.zip", "stored.zip", "data.tar", "data.tar.gz", "data.tar.bz2", "data.tar.xz")


def pack(path, files=FILES):
    """Write an archive of the kind that its name says, with an entry for the folder Train first."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(
            path, "w", zipfile.ZIP_STORED if "stored" in path.name else zipfile.ZIP_DEFLATED
        ) as archive:
            archive.writestr("Train/", b"")
            for name, content in files.items():
                archive.writestr(name, content)
    else:
        with tarfile.open(path, f"w:{path.suffix.removeprefix('.').removesuffix('tar')}") as archive:
            add(archive, "./Train", kind=tarfile.DIRTYPE)
            for name, content in files.items():
                add(archive, name, content)
    return path


def add(archive, name, content=b"", kind=tarfile.REGTYPE, to=""):
    entry = tarfile.TarInfo(name)
    entry.size, entry.type, entry.linkname = len(content), kind, to
    archive.addfile(entry, io.BytesIO(content))


def tree(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(archive, words, limit=None):
    """Unpacking fails with these words and leaves nothing at all."""
    before = tree(archive.parent)
    with pytest.raises(DataError, match=words):
        unpack(archive, archive.parent / "into", limit)
    assert tree(archive.parent) == before
    assert [path for path in archive.parent.iterdir() if path.is_dir()] == []


@pytest.mark.parametrize("name", FORMS)
def test_whole_archives_are_unpacked(tmp_path, name):
    pack(tmp_path / name)
    (tmp_path / "into").mkdir()  # an empty folder may exist
    assert unpack(tmp_path / name, tmp_path / "into") == (len(FILES), sum(map(len, FILES.values())))
    assert tree(tmp_path / "into") == FILES
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "into"])


def test_the_ending_of_the_name_means_nothing(tmp_path):
    pack(tmp_path / "data.tar.gz").rename(tmp_path / "data.zip")
    unpack(tmp_path / "data.zip", tmp_path / "new" / "into")
    assert tree(tmp_path / "new" / "into") == FILES


NAMES = {
    "../evil": "leads out of the folder",
    "a/../../evil": "leads out of the folder",
    "a/../b": "leads out of the folder",
    "/tmp/evil": "leads out of the folder",
    "C:evil": "leads out of the folder",
    "C:\\evil": "leads out of the folder",
    "\\\\server\\share\\evil": "leads out of the folder",
    "a\\..\\..\\evil": "leads out of the folder",
    "readme.txt": "would replace 'readme.txt'",
    "README.TXT": "would replace 'readme.txt'",
    "train/b.png": "would replace 'Train'",
    "Train": "would replace 'Train'",
    "readme.txt/b.png": "would replace 'readme.txt'",
    "Test/names with spaces/E\u0301.txt": "would replace",
    "a\nb": "has a name that is too long or not printable",
    "a/" * 5000 + "b": "has a name that is too long or not printable",
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", NAMES, ids=lambda name: repr(name[:30]))
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_name_that_leads_out_or_stands_for_another_file_is_refused(tmp_path, name, kind):
    archive = pack(tmp_path / f"data.{kind}")
    if kind == "zip":
        with zipfile.ZipFile(archive, "a") as more:
            more.writestr(name, b"evil")
    else:
        with tarfile.open(archive, "a") as more:
            add(more, name, b"evil")
    refused(archive, NAMES[name])


LINKS = {
    "symbolic, outside": [("evil", tarfile.SYMTYPE, "/etc")],
    "symbolic, then a file through it": [("link", tarfile.SYMTYPE, ".."), ("link/evil", tarfile.REGTYPE, "")],
    "symbolic, inside": [("b", tarfile.SYMTYPE, "readme.txt")],
    "hard, outside": [("passwords", tarfile.LNKTYPE, "/etc/passwd")],
    "hard, upwards": [("passwords", tarfile.LNKTYPE, "../data.tar")],
    "character device": [("null", tarfile.CHRTYPE, "")],
    "block device": [("disk", tarfile.BLKTYPE, "")],
    "pipe": [("pipe", tarfile.FIFOTYPE, "")],
}


@pytest.mark.parametrize("case", LINKS)
def test_links_and_devices_in_a_tar_file_are_refused(tmp_path, case):
    with tarfile.open(tmp_path / "data.tar", "w") as archive:
        add(archive, "readme.txt", b"read me")
        for name, kind, to in LINKS[case]:
            add(archive, name, b"", kind, to)
    refused(tmp_path / "data.tar", r"is a (link|device), which no dataset needs; nothing was unpacked")


def test_links_in_a_zip_file_are_refused(tmp_path):
    link = zipfile.ZipInfo("link")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        archive.writestr(link, "/etc")
        archive.writestr("link/evil", b"evil")
    refused(tmp_path / "data.zip", "its entry 'link' is a link")


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.bz2", "tar.xz"])
def test_an_archive_that_unpacks_to_far_more_than_it_is_is_refused(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(archives, "LEAST_LIMIT", 2**20)
    archive = pack(tmp_path / f"bomb.{kind}", {"zeros": bytes(2**23)})
    assert archive.stat().st_size < 2**14
    refused(archive, "unpacks to more than 0.000977 GB.*allow more GB with limit_gb")
    assert unpack(archive, tmp_path / "allowed", 2**23) == (1, 2**23)


@pytest.mark.parametrize(
    ("name", "kind", "size", "words"),
    [
        ("huge", tarfile.REGTYPE, 10 * 2**40, "unpacks to more than 1 GB"),
        ("minus", tarfile.REGTYPE, -(2**40), "a header claims -1,099,511,627,776 bytes"),  # would raise the limit
        ("././@LongLink", tarfile.GNUTYPE_LONGNAME, 4 * 2**30, "a header claims 4,294,967,296 bytes"),  # a name
    ],
)
def test_a_claim_is_enough_to_be_refused(tmp_path, name, kind, size, words):
    """Before anything of that size is read or written."""
    entry = tarfile.TarInfo(name)
    entry.type, entry.size = kind, size
    content = tarfile.TarInfo("a").tobuf() + entry.tobuf(tarfile.GNU_FORMAT) + bytes(2**16)
    (tmp_path / "data.tar").write_bytes(content)
    refused(tmp_path / "data.tar", words)


def test_too_many_entries_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MOST_ENTRIES", 50)
    refused(pack(tmp_path / "data.zip", {f"{number}.png": b"" for number in range(100)}), "or 50 entries")
    refused(pack(tmp_path / "data.zip", {f"{number}/" * 30 + "a.png": b"" for number in range(3)}), "or 50 entries")


@pytest.mark.parametrize("name", FORMS)
def test_an_archive_cut_short_anywhere_is_refused(tmp_path, name):
    whole = pack(tmp_path / name).read_bytes()
    lengths = {*range(0, len(whole), 1 + len(whole) // 40), len(whole) - 1}
    if name == "data.tar":  # whole as soon as the first zero block of its end is there
        end = len(whole.rstrip(b"\0")) // 512 * 512 + 1024
        lengths = {*range(0, end, 512), end - 1}
    for length in lengths:
        (tmp_path / name).write_bytes(whole[:length])
        refused(tmp_path / name, "damaged or cut short|not a complete zip or tar file")


@pytest.mark.parametrize("name", [name for name in FORMS if name != "data.tar"])
def test_a_damaged_archive_is_refused_or_gives_the_same_files(tmp_path, name):
    whole, outcomes = pack(tmp_path / name).read_bytes(), set()
    for place in range(3, len(whole), 1 + len(whole) // 30):
        (tmp_path / name).write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        into = tmp_path / f"into{place}"
        try:
            unpack(tmp_path / name, into)
        except DataError:
            outcomes.add("refused")
            assert not into.exists()
        else:
            assert sorted(tree(into).values()) == sorted(FILES.values())
    assert "refused" in outcomes


def test_a_damaged_header_in_a_tar_file_is_not_taken_for_its_end(tmp_path):
    archive = pack(tmp_path / "data.tar")
    whole = archive.read_bytes()
    place = whole.index(b"readme.txt")
    archive.write_bytes(whole[:place] + b"X" + whole[place + 1 :])
    with tarfile.open(archive) as opened:
        assert "readme.txt" not in opened.getnames()  # without an error
    refused(archive, "its end marker is missing")


def test_an_encrypted_archive_is_refused(tmp_path):
    content = bytearray(pack(tmp_path / "stored.zip").read_bytes())
    content[content.rindex(b"PK\1\2") + 8] |= 1
    (tmp_path / "stored.zip").write_bytes(content)
    refused(tmp_path / "stored.zip", "it is encrypted: unpack it with a program that asks for the password")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\5\6",
        gzip.compress(b"one file", mtime=0),
        bz2.compress(b"one file"),
        lzma.compress(b"one file"),
        b"x" * 5000,
    ],
)
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "data").write_bytes(content)
    refused(tmp_path / "data", "not a complete zip or tar file|damaged or cut short")


def test_a_missing_archive_and_a_folder_in_use_are_named(tmp_path):
    with pytest.raises(DataError, match="there is no archive"):
        unpack(tmp_path / "none.zip", tmp_path / "into")
    archive = pack(tmp_path / "data.zip")
    (tmp_path / "into").mkdir()
    (tmp_path / "into" / "mine").write_text("mine")
    for place in ("into", "into/mine"):
        with pytest.raises(DataError, match="exists and is not empty"):
            unpack(archive, tmp_path / place)
    assert tree(tmp_path / "into") == {"mine": b"mine"}


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    archive = pack(tmp_path / "data.zip")
    with pytest.raises(DataError, match=r"data\.zip cannot be unpacked to .*: (File exists|Not a)"):
        unpack(archive, archive / "into")


def test_a_killed_run_leaves_no_folder_of_the_wanted_name(tmp_path):
    archive = pack(tmp_path / "data.tar", {f"{number}.png": bytes(2**16) for number in range(400)})
    running = multiprocessing.get_context("fork").Process(target=unpack, args=(archive, tmp_path / "into"))
    running.start()
    while running.is_alive() and not list(tmp_path.glob(".into.*/whole/1?.png")):
        time.sleep(0.001)
    running.kill()
    running.join()
    assert running.exitcode == -signal.SIGKILL
    assert not (tmp_path / "into").exists()
    assert unpack(archive, tmp_path / "into") == (400, 400 * 2**16)  # the same again
