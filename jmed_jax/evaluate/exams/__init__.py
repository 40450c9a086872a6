"""Multiple-choice question sets of both papers, read into one kind of question. A set is one small file in `sets/`."""
