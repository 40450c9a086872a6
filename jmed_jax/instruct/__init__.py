"""Instruction data: conversations from examination questions and from dialogue files, and translation of questions."""
