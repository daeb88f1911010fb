"""Models of images and texts, cross-encoders and language models: where they come from, loading, training, saving.

A model is named by a backbone trained here ("glyph-clip", "doc-bert", ...), by "minilm", by a local folder, or by a
hub id "owner/name@revision"; the user's own encoder is any object with `encode_image` or `encode_text`.
"""

from finegrain._face import lazy

_FACE = {
    "load_text_encoder": "finegrain.models.text",
    "load_image_text": "finegrain.models.image_text",
    "class_embeddings": "finegrain.models.image_text",
    "load_masked_lm": "finegrain.models.language",
    "load_causal_lm": "finegrain.models.language",
    "load_llm": "finegrain.models.llm",
    "load_reranker": "finegrain.models.reranker",
    "encode_to_disk": "finegrain.models.shards",
    "fit": "finegrain.models.train",
    "find_model": "finegrain.models.sources",
    "backbone_folder": "finegrain.models.backbones",
    "save_backbone": "finegrain.models.backbones",
    "pick_device": "finegrain.models._device",
    "pick_dtype": "finegrain.models._device",
    "autocast": "finegrain.models._device",
}
__all__ = list(_FACE)
__getattr__, __dir__ = lazy(__name__, _FACE)
