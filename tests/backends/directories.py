"""Tiny random Hugging Face models on disk, with a tokenizer of a token a character."""

from pathlib import Path

TEXT = "肺炎の治療について説明します。質問に答えてください高低はいえ、0123456789"
TEMPLATE = (
    "{% for message in messages %}{{ message.role + ':' + message.content + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)


def write_tokenizer(path: Path, *, chat_template: str | None = TEMPLATE) -> int:
    """Write a tokenizer and return the size of its vocabulary."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted({*TEXT, *"abcdefghijklmnopqrstuvwxyz:\n"})
    vocabulary = {token: index for index, token in enumerate(["<pad>", "<end>", "<unk>", *letters])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.decoder = decoders.Fuse()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<end>", unk_token="<unk>", model_max_length=64
    )
    fast.chat_template = chat_template
    fast.save_pretrained(path)
    return len(vocabulary)


def write_llama(path: Path, *, chat_template: str | None = TEMPLATE) -> Path:
    """A causal language model of one layer."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    vocabulary = write_tokenizer(path, chat_template=chat_template)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=64,
        pad_token_id=0,
        eos_token_id=1,
        initializer_range=0.5,
    )
    LlamaForCausalLM(config).save_pretrained(path)
    return path


def write_bert(path: Path) -> Path:
    """An encoder of one layer."""
    import torch
    from transformers import BertConfig, BertModel

    vocabulary = write_tokenizer(path)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=64,
        initializer_range=0.5,
    )
    BertModel(config).save_pretrained(path)
    return path
