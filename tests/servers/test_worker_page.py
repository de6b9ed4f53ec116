"""The page of running tasks: what one process writes another one reads, also when the writer is dead or stopped."""

import os
import signal

import pytest

from fastsched.page import HEADER, NO_SEAT, SPARE_SEATS, Page, Peephole, read_page

IDS = [1 << 32 | 5, (1 << 62) + 3]


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "w.page")


def test_a_reader_sees_what_is_in_the_seats(path):
    page = Page(path, slots=2)
    seats = [page.take() for _ in IDS]
    for seat, task in zip(seats, IDS, strict=True):
        page.write(seat, task)
    assert sorted(read_page(path)) == sorted(page.running()) == IDS
    page.write(seats[0], 0)
    assert read_page(path) == [IDS[1]]
    page.give(seats[1])
    assert read_page(path) == []


def test_the_page_is_for_its_owner_alone(tmp_path, path):
    Page(path, slots=1)
    assert (tmp_path / "w.page").stat().st_mode & 0o777 == 0o600


def test_seats_are_used_again(path):
    page = Page(path, slots=1)
    for _ in range(1000):
        page.give(page.take())
    assert page.take() != NO_SEAT


def test_without_a_seat_a_task_is_not_on_the_page_and_nothing_breaks(path):
    page = Page(path, slots=1)
    taken = [page.take() for _ in range(1 + SPARE_SEATS)]
    assert NO_SEAT not in taken
    assert len(set(taken)) == len(taken)
    assert page.take() == NO_SEAT
    page.write(NO_SEAT, IDS[0])
    page.give(NO_SEAT)
    assert read_page(path) == []
    assert page.take() == NO_SEAT


def test_after_a_planned_stop_nobody_is_to_blame_whatever_still_runs(path):
    page = Page(path, slots=1)
    seat = page.take()
    page.write(seat, IDS[0])
    page.clear()
    page.write(seat, IDS[1])
    assert read_page(path) == []


def test_a_page_of_an_earlier_worker_is_not_read_as_ones_own(path):
    old = Page(path, slots=3)
    old.write(old.take(), IDS[0])
    Page(path, slots=1)
    assert read_page(path) == []


def test_a_page_without_a_path_works_and_leaves_no_file(tmp_path):
    page = Page("", slots=1)
    page.write(page.take(), IDS[0])
    assert page.running() == [IDS[0]]
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_cut_off_is_read_as_far_as_it_goes(tmp_path, path):
    page = Page(path, slots=1)
    page.write(page.take(), IDS[0])
    page.write(page.take(), IDS[1])
    (tmp_path / "cut").write_bytes((tmp_path / "w.page").read_bytes()[: 8 * (HEADER + 1) + 5])
    assert read_page(str(tmp_path / "cut")) == [IDS[0]]
    (tmp_path / "cut").write_bytes(b"")
    assert read_page(str(tmp_path / "cut")) == []


def test_a_page_that_is_not_there_is_an_os_error(path):
    with pytest.raises(OSError, match="No such file"):
        read_page(path)


def test_a_peephole_sees_whether_the_worker_is_in_and_busy(path):
    peephole = Peephole(path)
    assert (peephole.joined(), peephole.busy(), peephole.running()) == (False, False, [])
    page = Page(path, slots=1)
    assert (peephole.joined(), peephole.busy()) == (False, False)
    page.join()
    assert (peephole.joined(), peephole.busy()) == (True, False)
    seat = page.take()
    page.write(seat, IDS[0])
    assert (peephole.busy(), peephole.running()) == (True, [IDS[0]])
    page.give(seat)
    assert (peephole.joined(), peephole.busy()) == (True, False)
    assert read_page(path) == []


def test_a_worker_wakes_its_parent_once_when_it_starts_a_task(path, monkeypatch):
    woken = []
    monkeypatch.setattr(os, "kill", lambda pid, number: woken.append((pid, number)))
    page, peephole = Page(path, slots=1), Peephole(path)
    seat = page.take()
    page.write(seat, IDS[0])
    page.write(seat, 0)
    assert (woken, peephole.asleep()) == ([], False)
    peephole.doze()
    assert peephole.asleep()
    page.write(seat, 0)
    assert woken == []
    page.write(seat, IDS[0])
    page.write(seat, IDS[1])
    assert (woken, peephole.asleep()) == ([(os.getppid(), signal.SIGUSR1)], False)


def test_what_is_not_a_page_yet_is_looked_at_again_later(path):
    open(path, "w").close()
    peephole = Peephole(path)
    peephole.doze()
    assert not peephole.asleep()
    Page(path, slots=1).join()
    assert peephole.joined()
