"""From the layouts of the homes to ours: a module a set, each with `convert(downloads, out)`.

Ids count the rows of the home's own files, so that a part of a set keeps them.
"""
