"""Addresses and access files: what is accepted, and what a person is told otherwise."""

import json
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from fastsched.errors import AddressError
from fastsched.net import access as module
from fastsched.net.access import AccessFile, fresh_keys, locate, private_directory
from fastsched.net.address import Address, Scheme, parse, unix_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("tcp://127.0.0.1:8786", Address(Scheme.TCP, "127.0.0.1", 8786, "")),
        ("node-7.example.org:1", Address(Scheme.TCP, "node-7.example.org", 1, "")),
        ("  localhost:0\n", Address(Scheme.TCP, "localhost", 0, "")),
        ("tcp://[::1]:8786", Address(Scheme.TCP, "::1", 8786, "")),
        ("[fe80::1%eth0]:80", Address(Scheme.TCP, "fe80::1%eth0", 80, "")),
        ("unix:///run/user/1000/x y", Address(Scheme.UNIX, "", 0, "/run/user/1000/x y")),
    ],
)
def test_an_address_is_read_and_written_back(text, address):
    assert parse(text) == address
    assert parse(str(address)) == address


@pytest.mark.parametrize(
    "text",
    ["", "host", "host:", ":8786", "host:65536", "host:-1", "host:80:80", "::1:80", "http://host:80", "://host:80",
     "tcp://", "tcp://host", "tcp://host:80/path", "host:٣", "unix://relative", "unix://", "a b:80", "[::1]"],
)  # fmt: skip
def test_what_is_no_address_is_named(text):
    with pytest.raises(AddressError) as caught:
        parse(text)
    assert text.removeprefix("unix://") in str(caught.value)


def test_a_socket_path_that_is_too_long_is_named_with_the_limit():
    with pytest.raises(AddressError, match=r"must not be longer than 10[37] bytes"):
        unix_address("/" + "x" * 200)


@pytest.mark.parametrize(
    ("text", "local"),
    [("unix:///x", True), ("127.0.0.1:1", True), ("127.9.9.9:1", True), ("[::1]:1", True), ("localhost:1", True),
     ("0.0.0.0:1", False), ("[::]:1", False), ("10.0.0.1:1", False), ("example.org:1", False)],
)  # fmt: skip
def test_only_loopback_and_unix_sockets_are_local(text, local):
    assert parse(text).is_local is local


def test_a_private_directory_can_be_entered_by_its_owner_only():
    directory = Path(private_directory())
    try:
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        unix_address(directory / ("x" * 40))
    finally:
        directory.rmdir()


def test_a_private_directory_is_short_even_if_the_temporary_directory_is_not(tmp_path, monkeypatch):
    deep = tmp_path / ("d" * 90)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    directory = Path(private_directory())
    try:
        assert directory.parent == Path("/tmp")
        assert list(deep.iterdir()) == []
    finally:
        directory.rmdir()


def test_keys_are_long_new_and_different():
    first, second = fresh_keys(), fresh_keys()
    keys = {*first.values(), *second.values()}
    assert len(keys) == 4
    assert {len(key) for key in keys} == {32}


@pytest.fixture
def access():
    return AccessFile.create(parse("127.0.0.1:8786"), fresh_keys(), "0.1.0")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "fastsched.json"


def test_an_access_file_is_read_as_it_was_written_and_only_the_owner_can(access, path):
    access.write(path)
    assert AccessFile.read(path) == access
    assert locate(path) == access
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_writing_replaces_what_was_there_at_once(access, path):
    path.write_text("old")
    path.chmod(0o644)
    access.write(path)
    assert AccessFile.read(path) == access


def test_an_access_file_never_shows_its_keys(access):
    for text in (repr(access), str(access), f"{access}"):
        assert access.client_key.hex() not in text
        assert repr(access.client_key) not in text


def test_an_access_file_that_cannot_be_written_is_named(access, tmp_path):
    with pytest.raises(AddressError, match=r"cannot write the access file .*no/such.*No such file"):
        access.write(tmp_path / "no" / "such.json")


def test_an_access_file_that_is_not_there_is_named(path):
    with pytest.raises(AddressError, match=r"there is no access file .*fastsched\.json"):
        locate(path)


def test_a_directory_is_no_access_file(tmp_path):
    with pytest.raises(AddressError, match="cannot read the access file"):
        AccessFile.read(tmp_path)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_an_access_file_that_others_can_read_is_refused(access, path, mode):
    access.write(path)
    path.chmod(mode)
    with pytest.raises(AddressError, match=f"can be read by others .mode {mode:04o}"):
        AccessFile.read(path)


def test_an_access_file_of_another_user_is_refused(access, path, monkeypatch):
    access.write(path)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    if path.stat().st_uid == 0:
        monkeypatch.setattr(module, "_ROOT", -1)
    with pytest.raises(AddressError, match="belongs to another user"):
        AccessFile.read(path)


def test_an_access_file_whose_scheduler_has_ended_is_stale(access, path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    access._replace(pid=ended.pid).write(path)
    with pytest.raises(AddressError, match=rf"is stale: the scheduler that wrote it .pid {ended.pid}. has ended"):
        AccessFile.read(path)


def test_an_access_file_of_another_host_cannot_be_known_to_be_stale(access, path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    elsewhere = access._replace(pid=ended.pid, host="another host")
    elsewhere.write(path)
    assert AccessFile.read(path) == elsewhere


@pytest.mark.parametrize(
    "change",
    [lambda f: f.pop("address"), lambda f: f.update(address="nowhere"), lambda f: f.update(client_key="xyz"),
     lambda f: f.update(worker_key="00"), lambda f: f.update(pid="x"), lambda f: f.update(client_key=None)],
    ids=["no address", "bad address", "no hex", "short key", "bad pid", "no key"],
)  # fmt: skip
def test_an_access_file_with_a_wrong_field_is_refused(access, path, change):
    access.write(path)
    fields = json.loads(path.read_text())
    change(fields)
    path.write_text(json.dumps(fields))
    with pytest.raises(AddressError, match="is no access file"):
        AccessFile.read(path)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"not json", b"\xff\xfe", b"[" * 100_000], ids=range(6))
def test_any_other_content_is_no_access_file(path, content):
    path.touch(0o600)
    path.write_bytes(content)
    with pytest.raises(AddressError, match="is no access file"):
        AccessFile.read(path)


def test_a_bare_address_is_not_enough_to_join(tmp_path, monkeypatch, access):
    monkeypatch.chdir(tmp_path)
    for text in ("tcp://127.0.0.1:8786", "127.0.0.1:8786", "unix:///x"):
        with pytest.raises(AddressError, match="alone is not enough: give the access file"):
            locate(text)
    access.write("odd:1")  # a file of that name is a file
    assert locate("odd:1") == access


def test_removing_takes_away_ones_own_file_only(access, path):
    access.write(path)
    other = AccessFile.create(parse("127.0.0.1:8787"), fresh_keys(), "0.1.0")
    other.remove(path)
    assert AccessFile.read(path) == access
    access.remove(path)
    assert not path.exists()
    access.remove(path)
