"""One file a question set (or a family of one layout), each with its `SETS`: `registry` finds them by themselves."""
