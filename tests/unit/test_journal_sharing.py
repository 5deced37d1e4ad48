# ruff: noqa: F401, F811 -- fixtures are imported, then named as arguments
"""Threads of one process share a commit on SQLite; PostgreSQL's share the disk by themselves."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import insert, select

from steward.errors import JournalUnavailableError
from steward.journal import counters, vitals
from steward.journal.schema import notices
from steward.journal.store import TRANSACTIONS, Journal, Transaction
from steward.ports import Hint
from tests.servers import eventually
from tests.unit.journal_support import fresh_journal, journal, journal_url, migrated_journal_file


def test_who_waits_for_the_writer_shares_one_commit(journal: Journal) -> None:
    before = TRANSACTIONS._value.get()

    answers = at_once(journal, [note(str(number)) for number in range(10)])

    assert answers == [str(number) for number in range(10)]
    assert TRANSACTIONS._value.get() - before == 2  # one of them held the others up
    assert names(journal) == {str(number) for number in range(10)}


def test_what_fails_is_undone_alone_and_told_to_its_caller_alone(journal: Journal) -> None:
    def fail(transaction: Transaction) -> str:
        note("half done")(transaction)
        raise ValueError("a part of its own")

    answers = at_once(journal, [note("first"), fail, note("last")])

    assert [str(each) for each in answers] == ["first", "a part of its own", "last"]
    assert names(journal) == {"first", "last"}


def test_nobody_is_answered_where_the_whole_transaction_was_given_up(journal: Journal) -> None:
    def give_up(transaction: Transaction) -> str:
        transaction.connection.exec_driver_sql("ROLLBACK")  # as SQLite does when the disk is full
        raise OSError("full")

    answers = at_once(journal, [note("first"), give_up, note("last")])

    assert all(isinstance(each, JournalUnavailableError) for each in answers)
    assert names(journal) == set()


def test_hints_belong_to_their_own_part(journal: Journal) -> None:
    def hint(transaction: Transaction) -> list[Hint]:
        transaction.hints.append(Hint("id", "free", "default"))
        return transaction.hints

    assert at_once(journal, [hint, hint]) == [[Hint("id", "free", "default")]] * 2


def test_what_a_part_counted_is_undone_with_it_alone(journal: Journal) -> None:
    def count(transaction: Transaction) -> None:
        counters.add(transaction, "parts", 1)

    def fail(transaction: Transaction) -> None:
        count(transaction)
        raise ValueError("a part of its own")

    at_once(journal, [count, fail, count])

    assert vitals.read(journal).counters["parts"] == 2


def note(name: str) -> Callable[[Transaction], str]:
    def write(transaction: Transaction) -> str:
        values = {"name": name, "text": name, "noted_at": transaction.now}
        transaction.connection.execute(insert(notices).values(values))
        return name

    return write


def names(journal: Journal) -> set[str]:
    with journal.read() as connection:
        return set(connection.execute(select(notices.c.name)).scalars())


def at_once(journal: Journal, works: list[Callable[[Transaction], Any]]) -> list[Any]:
    """Let all of them wait for a writer that holds the lock; their answers, or what they raised."""
    answers: list[Any] = [None] * len(works)

    def ask(number: int) -> None:
        try:
            answers[number] = journal.write_together(works[number])
        except Exception as error:  # noqa: BLE001  # whatever it is, the test looks at it
            answers[number] = error

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(works))]
    with journal.write():
        for number, thread in enumerate(threads):  # in their order
            thread.start()
            eventually(lambda number=number: len(journal._shared._waiting) == number + 1)
    for thread in threads:
        thread.join(20)
    return answers
