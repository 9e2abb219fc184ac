"""What a run leaves for people to read: tables, charts, the report page, the model card, the word on baselines.

table.py    one table type as plain text, Markdown and HTML
chart.py    line charts as SVG
ticks.py    round numbers for axes
blanks.py   fill-in-the-blank examples before and after training
matrix.py   a confusion matrix as SVG
slices.py   scores by length, by what training has seen, by label
forest.py   slices with their intervals as SVG
record_groups.py  groups of choices and of questions to score one by one
judgements.py  predicted classes, choices, answers and labels beside gold ones
label_decisions.py  what became of each of several labels
scatter.py  predicted against true values as SVG
residuals.py  errors of predicted values
diagnosis.py   confusion, calibration, slices and confident mistakes of a model, as sections of a page
written.py  what a model wrote, its novelty, the nearest training passages
findings.py what a check of labelled files found, as text and tables
likelihood.py  how probable a sentence is to a model: pseudo-log-likelihood and others
over_seeds.py  intervals over test items and seeds at once
resampled.py  scores of several systems on the same resamples
learning_curve.py  scores against the number of labelled records
comparison.py  rows of a comparison: what was learnt, scores, differences, ranks
comparison_page.py  its tables and pictures
outcome.py  whether a network beats a baseline, said in a sentence with its interval
report.py   report.html: one page that needs nothing beside it
page.html   the frame and the style of that page
card.py     card.md: the model card
suites/     suites of labelled sets, one a file, and what a model is worth on them
"""
