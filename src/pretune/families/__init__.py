"""Model families, one a file: presets, template, heads, and a two-way map to Hugging Face's files.

bert.py        BERT: post-norm, learned positions, two segments (Devlin et al. 2019)
roberta.py     RoBERTa, XLM-RoBERTa, CamemBERT: BERT with an offset of positions (Liu et al. 2019)
distilbert.py  BERT with half its layers, no segments, no pooler (Sanh et al. 2019)
albert.py      small mapped embeddings, one block for all layers (Lan et al. 2020)
electra.py     discriminators and generators: smaller embeddings, a score a token (Clark et al. 2020)
deberta.py     DeBERTa, versions 2 and 3: contents meet vectors of distances (He et al. 2021, 2023)
gpt.py         GPT: the first decoder, post-norm (Radford et al. 2018)
gpt2.py        GPT-2: a decoder, pre-norm, four published sizes (Radford et al. 2019)
llama.py       Llama: RMSNorm, rotary, SwiGLU, grouped heads (Touvron et al. 2023)
modern.py      ModernBERT's architecture at our sizes: pre-norm, rotary, gated (Warner et al. 2024)
free.py        any choice of positions, norms, gates and so on, in files of our own
bart.py        BART: BERT's encoder and GPT's decoder, which reconstruct a text (Lewis et al. 2020)
t5.py          T5 1.0 and 1.1: text to text, relative positions (Raffel et al. 2020)
byt5.py        ByT5: T5 1.1 on bytes (Xue et al. 2022)
mt5.py         mT5: T5 1.1 in 101 languages (Xue et al. 2021)
transformer.py the Transformer of 2017, in Marian's files (Vaswani et al. 2017)
family.py      the Family protocol, HeadSpec, `open_family`, `family_of`
two_stacks.py  what families with a decoder beside the encoder share
encoder.py     what encoder families share: bodies, heads and files from tables
settings.py    config.json as a table, read and written
weights.py     the rule language for weight names, read and written
layout.py      what weight files look like: parts, classes, which names a head gets
present.py     which heads a file has
reading.py     weights from a file into a model, every tensor accounted for
labels.py      id2label, label2id, problem_type
counts.py      how many parameters, exactly, beside the published figures
"""
