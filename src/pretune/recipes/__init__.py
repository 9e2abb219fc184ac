"""Recipes: one published system a file, and what it is made of, each choice with its source.

recipe.py       Recipe: family, size, objective, run settings, sources; `open_recipe("bert-mini")`
bert.py         BERT as published (Devlin et al. 2019)
bert_wwm.py     BERT with whole-word masking (google-research/bert, May 2019)
bert_no_nsp.py  BERT's ablation "No NSP" (Devlin et al. 2019, section 5.1)
bert_ltr.py     BERT's ablation "LTR & No NSP": from left to right
bert_ltr_bilstm.py  BERT's ablation "+ BiLSTM": the same pre-training, a BiLSTM on top in fine-tuning
roberta.py      RoBERTa (Liu et al. 2019)
spanbert.py     SpanBERT: masked spans and their boundaries (Joshi et al. 2020)
electra.py      ELECTRA: what a smaller generator replaced (Clark et al. 2020)
deberta.py      DeBERTa: replaced tokens on its body (He et al. 2023), with ELECTRA's settings
albert.py       ALBERT: shared layers, n-grams, the order of sentences (Lan et al. 2020)
gpt.py          GPT, the first (Radford et al. 2018)
gpt2.py         GPT-2 (Radford et al. 2019), with GPT-3's rates where its paper is silent
llama.py        Llama (Touvron et al. 2023)
bart.py         BART: sentences permuted, spans infilled (Lewis et al. 2020)
t5.py           T5, versions 1.0 and 1.1: span corruption (Raffel et al. 2020)
free.py         the recipe modern on a body of any choice
modern.py       our own best encoder recipe: ModernBERT's architecture with our initialisation and schedule
"""
