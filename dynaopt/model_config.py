"""What a Hugging Face ``config.json`` says about a language model's size: parameters, work for a token, KV cache.

Norms and biases are left out: less than a thousandth of the parameters. The experts of a mixture count in full in the
parameters, and as many as a token is sent to in its work.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dynaopt.errors import InvalidInputError
from dynaopt.json_fields import Fields, read_documents

KV_BYTES = 2
"""Bytes of a number in the KV cache: engines keep it in 16 bits unless told otherwise."""
# How many matrices the perceptron of a layer has: three with a gate, two without.
_GATED = (
    "cohere",
    "deepseek_v2",
    "deepseek_v3",
    "gemma",
    "gemma2",
    "gemma3",
    "gemma3_text",
    "glm4",
    "glm4_moe",
    "gpt_oss",
    "granite",
    "kimi_k2",
    "llama",
    "mistral",
    "mistral3",
    "mixtral",
    "olmo2",
    "olmoe",
    "phi3",
    "qwen2",
    "qwen2_moe",
    "qwen3",
    "qwen3_moe",
)
_PLAIN = ("bloom", "gpt_neox", "starcoder2")
KNOWN_TYPES = (*_GATED, *_PLAIN)
_LAYERS = ("num_hidden_layers", "n_layer", "num_layers")
_HIDDEN = ("hidden_size", "n_embed", "n_embd")
_HEADS = ("num_attention_heads", "n_head")
_EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """Sizes of a language model.

    Parameters
    ----------
    model_type
        As the file has it, for example ``qwen3_moe``.
    num_layers, hidden_size, num_heads, num_kv_heads
        Of the transformer; `num_kv_heads` is 1 where keys and values are kept compressed for all heads together.
    num_parameters
        All of them.
    num_embedding_parameters
        Of these, the table of tokens (and the last matrix where it is another), which stay in 16 bits.
    num_expert_parameters
        Of these, those of experts; 0 in a dense model.
    expert_share
        Experts that a token is sent to, as a share of all; 1 in a dense model.
    token_flops
        Operations for one token beside attention to others.
    pair_flops
        Operations for one token's attention to one other.
    kv_bytes_per_token
        KV cache of one token, once over all GPUs, in bytes.
    """

    model_type: str
    num_layers: int
    hidden_size: int
    num_heads: int
    num_kv_heads: int
    num_parameters: float
    num_embedding_parameters: float
    num_expert_parameters: float
    expert_share: float
    token_flops: float
    pair_flops: float
    kv_bytes_per_token: float

    def weights_bytes(self, bytes_per_parameter: float) -> float:
        """Return the size of the weights, in bytes; the table of tokens stays in 16 bits.

        Parameters
        ----------
        bytes_per_parameter
            2 for bf16, 1 for fp8.
        """
        embedding = self.num_embedding_parameters
        return 2 * embedding + bytes_per_parameter * (self.num_parameters - embedding)


def read_shape(path: str | Path) -> ModelShape:
    """Read the sizes of a language model.

    Parameters
    ----------
    path
        Its ``config.json``. Of a model that takes in more than text the part under ``text_config`` counts.

    Raises
    ------
    MissingFileError
        If there is no such file.
    InvalidInputError
        If the architecture is none that is known, or a key is missing or of the wrong kind.
    """
    document = read_documents(path)[0]
    config = document.section("text_config") if document.has("text_config") else document
    kind = config.text("model_type") if config.has("model_type") else document.text("model_type")
    if kind not in KNOWN_TYPES:
        raise InvalidInputError(
            document.at("model_type"),
            expected=f"one of {', '.join(KNOWN_TYPES)}",
            found=f"'{kind}'",
            hint="others have parts whose work and memory this does not know",
        )
    return _shape(kind, config)


def stored_dtype(path: str | Path) -> str:
    """Return ``fp8`` if a ``config.json`` says that the weights are stored so, else ``bf16``."""
    document = read_documents(path)[0]
    if not document.has("quantization_config"):
        return "bf16"
    quantisation = document.section("quantization_config")
    method = quantisation.text("quant_method") if quantisation.has("quant_method") else "none"
    if method != "fp8":
        raise InvalidInputError(
            quantisation.at("quant_method"), expected="fp8, or no quantisation", found=f"'{method}'"
        )
    return "fp8"


def _shape(kind: str, config: Fields) -> ModelShape:
    layers, hidden, heads = config.whole(*_LAYERS), config.whole(*_HIDDEN), config.whole(*_HEADS)
    attention, kv_values, kv_heads, pair_flops = _attention(config, hidden, heads)
    dense, experts, active = _perceptrons(kind, config, layers, hidden)
    tied = config.content.get("tie_word_embeddings", kind in ("bloom", "gemma", "gemma2", "gemma3", "gemma3_text"))
    table = config.whole("vocab_size") * hidden
    return ModelShape(
        model_type=kind,
        num_layers=layers,
        hidden_size=hidden,
        num_heads=heads,
        num_kv_heads=kv_heads,
        num_parameters=layers * attention + dense + experts + table * (1 if tied else 2),
        num_embedding_parameters=table * (1 if tied else 2),
        num_expert_parameters=experts,
        expert_share=active / experts if experts else 1.0,
        token_flops=2 * (layers * attention + dense + active + table),
        pair_flops=layers * pair_flops,
        kv_bytes_per_token=layers * kv_values * KV_BYTES,
    )


def _attention(config: Fields, hidden: int, heads: int) -> tuple[float, float, int, float]:
    """Return, for a layer, parameters, numbers kept for a token, heads that keep them, and operations for a pair."""
    if config.has("kv_lora_rank"):
        return _latent_attention(config, hidden, heads)
    head = config.whole("head_dim") if config.has("head_dim") else hidden // heads
    kv_heads = config.whole("num_key_value_heads") if config.has("num_key_value_heads") else heads
    parameters = 2 * hidden * heads * head + 2 * hidden * kv_heads * head
    return parameters, 2 * kv_heads * head, kv_heads, 4 * heads * head


def _latent_attention(config: Fields, hidden: int, heads: int) -> tuple[float, float, int, float]:
    """Return the same where one compressed vector is kept for all heads, as DeepSeek does."""
    latent, rope = config.whole("kv_lora_rank"), config.whole("qk_rope_head_dim")
    query, value = config.whole("qk_nope_head_dim") + rope, config.whole("v_head_dim")
    rank = config.whole("q_lora_rank") if config.has("q_lora_rank") else 0
    queries = hidden * rank + rank * heads * query if rank else hidden * heads * query
    keys = hidden * (latent + rope) + latent * heads * (query - rope + value)
    return queries + keys + heads * value * hidden, latent + rope, 1, 2 * heads * (query + value)


def _perceptrons(kind: str, config: Fields, layers: int, hidden: int) -> tuple[float, float, float]:
    """Return parameters of all layers that every token passes, of experts, and of the experts a token is sent to."""
    matrices = 3 if kind in _GATED else 2
    if not any(config.has(key) for key in _EXPERTS):
        width = config.whole("intermediate_size", "n_inner") if _has_width(config) else 4 * hidden
        return layers * matrices * hidden * width, 0.0, 0.0
    sparse = _sparse_layers(config, layers)
    width = config.whole("moe_intermediate_size", "intermediate_size")
    expert = matrices * hidden * width
    count, chosen = config.whole(*_EXPERTS), config.whole("num_experts_per_tok", "experts_per_token")
    if chosen > count:
        raise InvalidInputError(
            config.at("num_experts_per_tok"), expected=f"at most the {count} experts", found=str(chosen)
        )
    shared = config.whole("n_shared_experts", positive=False) * width if config.has("n_shared_experts") else 0
    if config.has("shared_expert_intermediate_size"):
        shared = config.whole("shared_expert_intermediate_size", positive=False)
    dense = (layers - sparse) * matrices * hidden * config.whole("intermediate_size", "moe_intermediate_size")
    always = dense + sparse * (matrices * hidden * shared + hidden * count)
    return always, sparse * count * expert, sparse * chosen * expert


def _has_width(config: Fields) -> bool:
    return config.has("intermediate_size") or config.has("n_inner")


def _sparse_layers(config: Fields, layers: int) -> int:
    """Return how many layers have experts: all but the first few, those listed, or every so many."""
    first = config.whole("first_k_dense_replace", positive=False) if config.has("first_k_dense_replace") else 0
    step = config.whole("decoder_sparse_step") if config.has("decoder_sparse_step") else 1
    dense = set(config.content.get("mlp_only_layers") or ()) | set(range(first))
    return sum(1 for layer in range(layers) if layer not in dense and (layer + 1) % step == 0)
