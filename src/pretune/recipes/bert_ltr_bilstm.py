"""BERT's ablation "+ BiLSTM": as bert-ltr, fine-tuned with a fresh BiLSTM on top (Devlin et al. 2019, section 5.1)."""

from pretune.recipes.bert_ltr import bert_ltr

bert_ltr_bilstm = bert_ltr.derive(
    "bert-ltr-bilstm",
    finetune={"top": "bilstm"},
    sources={
        "fine-tuning": "Devlin et al. 2019, section 5.1, table 5: a randomly initialised BiLSTM on top of the model. "
        "Its pre-training is bert-ltr's (a BiLSTM would see what is to be predicted): fine-tune with top=bilstm. One "
        "layer, half of the hidden size each way; the paper gives no sizes",
    },
)
