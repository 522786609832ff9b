"""Tests of `dynaopt.model_config`, against published sizes of models."""

import json
from pathlib import Path

import pytest

from dynaopt.errors import InvalidInputError
from dynaopt.model_config import read_shape, stored_dtype

CONFIGS = Path(__file__).parent / "data" / "configs"
SMALL = {
    "model_type": "llama",
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 10,
    "vocab_size": 100,
    "tie_word_embeddings": False,
}


def _write(folder: Path, **fields: object) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps({k: v for k, v in (SMALL | fields).items() if v is not None}))
    return path


@pytest.mark.parametrize(
    ("name", "billions", "active_billions", "kv_bytes"),
    [
        ("qwen3-8b", 8.19, 8.19, 147_456),
        ("qwen3-32b", 32.76, 32.76, 262_144),
        ("llama-3.1-8b", 8.03, 8.03, 131_072),
        ("llama-3.1-405b", 405.85, 405.85, 516_096),
        ("mixtral-8x7b", 46.70, 12.88, 131_072),
        ("qwen3-30b-a3b", 30.53, 3.35, 98_304),
        ("qwen3-235b-a22b", 235.09, 22.19, 192_512),
        ("deepseek-v3", 671.03, 37.55, 70_272),
    ],
)
def test_published_sizes(name: str, billions: float, active_billions: float, kv_bytes: int) -> None:
    """Tests parameters, those in use for a token, and the KV cache of one, as the models' authors give them."""
    shape = read_shape(CONFIGS / f"{name}.json")
    idle = shape.num_expert_parameters * (1 - shape.expert_share)
    assert shape.num_parameters / 1e9 == pytest.approx(billions, abs=0.01)
    assert (shape.num_parameters - idle) / 1e9 == pytest.approx(active_billions, abs=0.01)
    assert shape.kv_bytes_per_token == kv_bytes


def test_a_dense_model_by_hand(tmp_path: Path) -> None:
    """Tests two layers of width 8 with heads of 2.

    Attention has 8·8 for queries, 2·8·4 for keys and values, 8·8 for the output: 192; the perceptron 3·8·10 = 240;
    the tables 2·800. A token takes 2 operations for each but the first table; a pair 4·4·2 in each layer.
    """
    shape = read_shape(_write(tmp_path))
    assert shape.num_parameters == 2 * (192 + 240) + 1600
    assert shape.token_flops == 2 * (2 * (192 + 240) + 800)
    assert shape.pair_flops == 2 * 32
    assert shape.kv_bytes_per_token == 2 * 2 * 2 * 2 * 2
    assert shape.weights_bytes(1) == 864 + 2 * 1600
    assert read_shape(_write(tmp_path, tie_word_embeddings=True)).num_parameters == 864 + 800


def test_a_mixture_by_hand(tmp_path: Path) -> None:
    """Tests 6 experts of width 5, 2 in use, one shared, in the second of two layers; the first is dense."""
    fields = {
        "model_type": "deepseek_v3",
        "n_routed_experts": 6,
        "num_experts_per_tok": 2,
        "n_shared_experts": 1,
        "moe_intermediate_size": 5,
        "first_k_dense_replace": 1,
    }
    shape = read_shape(_write(tmp_path, **fields))
    assert shape.num_expert_parameters == 6 * 3 * 8 * 5
    assert shape.expert_share == pytest.approx(1 / 3)
    assert shape.num_parameters == 2 * 192 + 240 + 8 * 6 + 7 * 120 + 1600


def test_every_other_layer_has_experts(tmp_path: Path) -> None:
    """Tests a step of two, and a layer that is named as dense."""
    fields = {"model_type": "qwen3_moe", "num_experts": 4, "num_experts_per_tok": 1, "moe_intermediate_size": 5}
    layers = {"num_hidden_layers": 4, "decoder_sparse_step": 2}
    assert read_shape(_write(tmp_path, **fields, **layers)).num_expert_parameters == 2 * 4 * 120
    dense = read_shape(_write(tmp_path, **fields, **layers, mlp_only_layers=[3]))
    assert dense.num_expert_parameters == 4 * 120


def test_heads_of_their_own_and_of_another_size(tmp_path: Path) -> None:
    """Tests that every head has keys and values where nothing else is said, and that heads may be larger."""
    assert read_shape(_write(tmp_path, num_key_value_heads=None)).kv_bytes_per_token == 2 * 2 * 4 * 2 * 2
    assert read_shape(_write(tmp_path, head_dim=16)).kv_bytes_per_token == 2 * 2 * 2 * 16 * 2


def test_a_part_of_a_model_that_sees(tmp_path: Path) -> None:
    """Tests that the text part counts."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"model_type": "mistral3", "text_config": SMALL | {"model_type": "mistral"}}))
    assert read_shape(path).model_type == "mistral"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model_type": "mamba2"}, r"key 'model_type': expected one of .*, got 'mamba2'"),
        ({"model_type": None}, "key 'model_type': expected a text, got none"),
        ({"hidden_size": None}, "key 'hidden_size': expected a number above 0, got none"),
        ({"num_hidden_layers": "80"}, "key 'num_hidden_layers': expected a number above 0, got \"80\""),
        ({"vocab_size": 0}, "key 'vocab_size': expected a number above 0, got 0"),
        (
            {"num_experts": 4, "num_experts_per_tok": 8, "moe_intermediate_size": 5},
            "key 'num_experts_per_tok': expected at most the 4 experts, got 8",
        ),
        (
            {"num_experts": 4, "moe_intermediate_size": 5},
            "key 'num_experts_per_tok': expected a number above 0, got none",
        ),
    ],
)
def test_what_is_not_known(tmp_path: Path, fields: dict[str, object], message: str) -> None:
    """Tests that the key is named."""
    with pytest.raises(InvalidInputError, match=message):
        read_shape(_write(tmp_path, **fields))


def test_how_weights_are_stored(tmp_path: Path) -> None:
    """Tests fp8, none, and a method that is not known."""
    assert stored_dtype(CONFIGS / "deepseek-v3.json") == "fp8"
    assert stored_dtype(_write(tmp_path)) == "bf16"
    with pytest.raises(InvalidInputError, match=r"quantization_config.quant_method': expected fp8, .*, got 'awq'"):
        stored_dtype(_write(tmp_path, quantization_config={"quant_method": "awq"}))
