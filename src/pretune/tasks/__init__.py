"""Downstream tasks, one a file: from a labelled record to a loss, a prediction and a score.

task.py       the Task protocol and `open_task`
classify.py   a class for a text
pair.py       a class for two texts
regress.py    a value for a text or two
tag.py        a tag for each word
choose.py     one of several texts
similar.py    a vector for each text, whose cosines say how similar texts are
answer.py     the span of a context that answers a question, or that there is none
text_to_text.py  a text to another, classification among them, several tasks mixed: by exact string
translate.py  a text to the same in another language
summarise.py  a text to a shorter one
written.py    what tasks share whose answer is a text that the model writes
references.py  a record's source and its targets
mixture.py    several tasks in one training file, mixed in proportion
nearest_source.py  the answer to the training source that is most like a source
language_modelling.py  the probability of a text, a token, a word and a byte
text_windows.py  a text as windows in which each token is predicted once
byte_ngrams.py  n-grams of bytes, smoothed: a language model without a network
text_vectors.py  tasks that compare the vectors of texts
siamese_losses.py  their losses: cosine, triplet, ranking with in-batch negatives
similar_scores.py  how similarities are judged: values, triplets, ranks, classes
likeness.py   similarity of texts without a network
contexts.py   a question and its context as sequences: windows, where answers may stand
candidates.py  from scores of starts and ends to answers and their probabilities
sliding_window.py  answers by shared words, without a network
classes.py    what classify and pair share: settings, labels bound in training
one_label.py  one class a record: loss, predictions, scores, baselines
several_labels.py  any number of classes a record, likewise
label_names.py  names of classes: bound in training, checked afterwards
whole_texts.py  tasks that read texts as a whole: pooling, windows
texts.py      texts as an Example: cutting, windows, the rows a head reads
sentences.py  tagged sentences: words, tags, places, windows; how a text is cut in words
word_rows.py  words as rows of pieces, and back
tag_schemes.py  records whose tags mark spans: what is wrong with them
entities.py   tagged words to the spans they mark
evidence.py   what a model says before anything is decided: what an ensemble averages
items.py      what an interval of each metric needs
baselines.py  simple methods without a network: TF-IDF and linear models, most frequent tags
source.py     TaskSource: records as training samples
measured.py   how a file's texts fit a model: lengths, what is cut, what the vocabulary lacks
run.py        predictions and scores of a model on records
"""
