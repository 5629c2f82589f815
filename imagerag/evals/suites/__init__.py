"""What is asked: suites of cases, built in, from files, and from the user's own runs."""
