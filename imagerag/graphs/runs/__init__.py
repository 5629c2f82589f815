"""Start, stream, resume, fork, continue and describe runs."""
