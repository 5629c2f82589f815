"""What is measured of an answer: a bool is an assertion, a number a score, a string a label. A failure is no zero."""
