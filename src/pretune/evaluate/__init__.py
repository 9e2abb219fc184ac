"""What a run leaves for people to read: tables, charts, the report page, the model card, the word on baselines.

table.py    one table type as plain text, Markdown and HTML
chart.py    line charts as SVG
ticks.py    round numbers for axes
blanks.py   fill-in-the-blank examples before and after training
outcome.py  whether a network beats a baseline, said in a sentence with its interval
report.py   report.html: one page that needs nothing beside it
page.html   the frame and the style of that page
card.py     card.md: the model card
"""
