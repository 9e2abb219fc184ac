"""Sentence borders by a documented rule, for English, German, French and CJK punctuation.

1. A line break ends a sentence, and so does 。！？｡ with the closing quotes and brackets behind it.
2. A run of . ! ? … with the closing quotes and brackets behind it ends a sentence when white space follows and the
   next letter, opening quotes and dashes aside, is not lower case. (So "Stop!" he said. is one sentence, and so is an
   ellipsis before a lower-case word; 3.14 and U.S.A have no white space behind their stops.)
3. A single full stop does not end a sentence after
   - a title or another abbreviation that is always followed by something (Mr., Dr., e.g., z.B., Mme),
   - an abbreviation that counts (No., Nr., p., fig., vol.) before a digit,
   - one capital letter (an initial), or letters with stops between them (J.R., J.-J., U.S.), except a.m. and p.m.,
   - the only word so far if it is a number or a letter ("1. First, ..."),
   - in German, a number of one or two digits (an ordinal: am 3. Oktober).

The rule errs on the side of long sentences. It knows no grammar: "in the U.S. He left" stays one sentence.
"""

import re
from collections.abc import Iterator

from pretune.core.errors import unknown

_CLOSERS = "\"'”’»›“‘«‹)\\]}」』】〉》）"  # “ and « close a German quotation: „Nein.“ »Ja.«
_OPENERS = "\"'“”‘’„‚«»‹›([{「『【〈《（¿¡*_—–- \t\u00a0"
_FRENCH_CLOSER = r"[ \u00a0\u202f]»(?=[\s.,;:)]|\Z)"  # a German opening » has no space behind it
_BORDER = re.compile(
    rf"([.!?…。！？｡\n])(?:(?<=\n)|([.!?…。！？｡]*[{_CLOSERS}]*(?:{_FRENCH_CLOSER})?))(\s*)",
)
_ALWAYS = frozenset("。！？｡\n")
_NUMBER_OR_LETTER = re.compile(r"\(?(?:\d+|[IVXLC]+|\w)\Z")
_DOTTED = re.compile(r"(?:[^\W\d_]\.-?)+[^\W\d_]\Z")

_TITLES = {
    "en": "mr mrs ms messrs dr prof rev hon st sir capt col gen lieut lt sgt maj gov sen rep pres supt cpl pvt mt ft "
    "esq jun jr sr bros viz vs cf approx dept e.g i.e al",
    "de": "hr hrn frhr fr frl dr prof dipl ing hl bzw ca evtl ggf inkl sog vgl z.b d.h u.a z.t i.d.r o.ä u.ä v.a geb "
    "gest bspw einschl gegr z d h u a i.a m.e s.o s.u st",
    "fr": "m mm mme mmes mlle mlles mgr me dr pr st ste cf c.-à-d env p.ex apr av",
}
_COUNTING = {
    "en": "no nos vol vols p pp fig figs ch chap art sec eq ed op jan feb mar apr jun jul aug sep sept oct nov dec",
    "de": "nr nrn bd s abb art kap tab ziff abs jan feb apr aug sept okt nov dez tel",
    "fr": "h n no nos vol p pp fig chap art t janv févr avr juill sept oct nov déc tél",
}
_FINAL = frozenset({"a.m", "p.m"})
LANGUAGES = tuple(_TITLES)

Sets = tuple[frozenset[str], frozenset[str]]


def _words(table: dict[str, str], language: str | None) -> frozenset[str]:
    # without a language: words that are abbreviations wherever they are known; one-letter ones are initials anyway
    chosen = [table[language]] if language else list(table.values())
    found = {word for words in chosen for word in words.split()}
    return frozenset(
        found if language else found - {"me", "al", "ed", "art", "apr", "s", "t", "a", "pr", "av", "fr", "no"}
    )


_SETS: dict[str | None, Sets] = {
    language: (_words(_TITLES, language), _words(_COUNTING, language)) for language in (*LANGUAGES, None)
}


def split_sentences(text: str, language: str | None = None) -> list[tuple[int, int]]:
    """Character spans (start, end) of the sentences, ascending; together they cover all text but white space.

    language: "en", "de", "fr" (or longer tags, "en-GB"); None is the common rule. InputError for another one.

    >>> text = "Mr. Hyde paid 3.50 to Dr. Jekyll.  \\"Why?\\" he asked. It rained."
    >>> [text[start:end] for start, end in split_sentences(text, "en")]
    ['Mr. Hyde paid 3.50 to Dr. Jekyll.', '"Why?" he asked.', 'It rained.']
    """
    start = len(text) - len(text.lstrip())
    spans = []
    for end, next_start in _borders(text, sets_for(language), language_of(language) == "de"):
        while end > start and text[end - 1].isspace():
            end -= 1
        if end > start:
            spans.append((start, end))
        start = max(start, next_start)
    end = len(text.rstrip())
    if end > start:
        spans.append((start, end))
    return spans


def language_of(language: str | None) -> str | None:
    """The two letters of a known language. InputError for an unknown one."""
    if language is None:
        return None
    short = re.split("[-_]", language.lower())[0]
    if short not in LANGUAGES:
        raise unknown("language", language, [*LANGUAGES, "none given: the common rule"])
    return short


def sets_for(language: str | None) -> Sets:
    """The abbreviations of a language: those that never end a sentence, and those that do not before a digit."""
    return _SETS[language_of(language)]


def _borders(text: str, sets: Sets, ordinals: bool) -> Iterator[tuple[int, int]]:
    """(end of a sentence and perhaps white space, start of the next) for every border."""
    start, length = 0, len(text)
    for match in _BORDER.finditer(text):
        stop, behind = match[1], match[2] or ""
        gap_start, gap_end = match.span(3)
        always = stop in _ALWAYS or gap_end == length or "\n" in match[3] or not _ALWAYS.isdisjoint(behind)
        if not always:
            if gap_end == gap_start or not _may_start(text, gap_end):
                continue
            if stop == "." and not behind and _goes_on(text, start, match.start(), gap_end, sets, ordinals):
                continue
        yield gap_start, gap_end
        start = gap_end


def _may_start(text: str, at: int) -> bool:
    """Whether the next letter or digit, opening quotes aside, may begin a sentence."""
    while at < len(text) and text[at] in _OPENERS:
        at += 1
    return at == len(text) or not text[at].islower()


def _goes_on(text: str, start: int, stop: int, following: int, sets: Sets, ordinals: bool) -> bool:
    """Whether the full stop at `stop` belongs to a word, by rule 3."""
    word = text[max(start, stop - 24) : stop].rsplit(None, 1)[-1:]
    if not word:
        return False
    name = word[0].lstrip(_OPENERS)
    titles, counting = sets
    lowered = name.lower()
    if lowered in titles or (len(name) == 1 and name.isupper()):
        return True
    if lowered in counting and text[following].isdigit():
        return True
    if _DOTTED.match(name):
        return lowered not in _FINAL
    if name.isdecimal() and ordinals and len(name) <= 2:
        return True
    return stop - start <= len(name) + 1 and _NUMBER_OR_LETTER.match(name) is not None
