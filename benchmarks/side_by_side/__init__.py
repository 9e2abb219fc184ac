"""What the benchmarks beside other libraries share: runs in processes of their own, alternating; both sides of MLM.

cells.py     each measurement in a process of its own, sides alternating; JSON that is continued
figures.py   medians, spreads and ratios as text
gpu_parts.py the parts of gpu.py
mlm_data.py  the samples: sentences of natural lengths or blocks, and the same masks for both sides
mlm_ours.py  pretune's side of masked-language-model training
mlm_peer.py  transformers' side: its model, collator and Trainer
outputs.py   pretune and the others as predictors and embedders of texts
to_loss.py   seconds to the validation loss that another training ends with
"""
