"""Every unit test that uses a journal, again on a real PostgreSQL: a module for each."""
