"""Scores on plain arrays, with their intervals and tests. No torch.

checks.py         what every metric refuses: empty, unequal, NaN
classification.py accuracy, confusion counts, precision, recall, F1 (binary, micro, macro), Matthews correlation
multi_label.py    any number of labels an item: micro and macro F1, subset accuracy
correlation.py    Pearson and Spearman
ranks.py          the rank of each question's own answer in a set, mean reciprocal rank
answers.py        exact match and F1 of answers, equal to SQuAD's scorers; the best threshold for no answer
spans.py          spans of tags and their F1, equal to seqeval's default
schemes.py        tag schemes: IOB1, BIO, BIOES, BILOU; detection, conversion, legal transitions, strict spans
translation.py    BLEU and chrF, by sacrebleu, from counts that add up
rouge.py          ROUGE of summaries, by rouge-score
repetition.py     how much a written text repeats itself
novelty.py        how much of it no training text has, and the nearest training passage
perplexity.py     perplexity and bits from a sum of nats
calibration.py    reliability bins, expected calibration error, Brier score
intervals.py      percentile bootstrap over items: of any metric, and fast for scores of sums
two_level.py      interval over test items and over draws of the training data (seeds, labelled samples) at once
significance.py   McNemar's test and the paired bootstrap
"""
