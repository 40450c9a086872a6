"""One message of a conversation, and the check that every tokenizer makes of it."""

from collections.abc import Mapping

from jmed_jax.errors import InputError
from jmed_jax.tokenizer.core import ROLES

Message = Mapping[str, str]


def check_message(message: Message) -> tuple[str, str]:
    """Role and content of a message.

    Raises:
        InputError: a field is missing, or the role is none of system, user and assistant.
    """
    if "role" not in message or "content" not in message:
        raise InputError(f'a message needs "role" and "content" (found: {", ".join(message)}).')
    if message["role"] not in ROLES:
        raise InputError(f'unknown role "{message["role"]}". Use {", ".join(ROLES)}.')
    return message["role"], message["content"]
