"""The sets that measure retrieval: the sections of real manuals, and queries whose relevant sections are known.

The manuals are Debian packages: PostgreSQL's, and Debian's reference in five languages. A section is stored without its heading,
so a heading is a query that only its section answers. Questions are made from headings. Identifiers are names from the text that
few sections mention.
"""

import collections
import random
import re
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

# Each has a place for a heading.
QUESTIONS = {
    "en": ["How does {manual} handle {h}?",
           "What is {h} and when do I need it?",
           "I have a problem with {h}, what should I do?"],
    "fr": ["Comment {manual} gère-t-il {h} ?",
           "Qu’est-ce que {h} et quand en ai-je besoin ?",
           "J’ai un problème avec {h}, que dois-je faire ?"],
    "de": ["Wie geht {manual} mit {h} um?",
           "Was ist {h} und wann brauche ich das?",
           "Ich habe ein Problem mit {h}, was soll ich tun?"],
    "ja": ["{manual} では{h}をどのように扱いますか？",
           "{h}とは何ですか？いつ必要になりますか？",
           "{h}で問題が起きました。どうすればよいですか？"],
    "zh-cn": ["{manual} 如何处理{h}？",
              "什么是{h}？什么时候需要它？",
              "我在{h}方面遇到了问题，应该怎么办？"],
}
# As a text search configuration is named.
LANGUAGES = {"en": "english", "fr": "french", "de": "german", "ja": "simple", "zh-cn": "simple"}
# Languages without spaces between words.
UNSPACED = {"ja", "zh-cn"}

HEADINGS = {"h2", "h3", "h4"}
NAVIGATION = {"toc", "navheader", "navfooter"}
PARAGRAPHS = {"p", "pre", "dt", "dd", "li", "tr"}
# Several words joined by signs, as in max_wal_size, pg_stat_activity.pid and sources.list.
IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[_.-][A-Za-z0-9]+)+")
# A name that more sections than this mention is no query for any of them.
MOST_MENTIONS = 5


@dataclass(frozen=True)
class Query:
    text: str
    relevant: tuple[int, ...]  # numbers of sections
    form: str


@dataclass(frozen=True)
class Set:
    name: str
    locale: str
    sections: list[tuple[str, str]]  # heading, text
    queries: list[Query]

    @property
    def language(self):
        return LANGUAGES[self.locale]

    def by_form(self):
        """The queries of each form, in the order of the forms."""
        forms = collections.defaultdict(list)
        for query in self.queries:
            forms[query.form].append(query)
        return forms


class Page(HTMLParser):
    """The headings and texts of a page's sections, and the names that it sets as code."""

    def __init__(self, html):
        super().__init__()
        self.found, self.code, self.in_title, self.in_code, self.skipped = [], set(), False, False, 0
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        names = set((dict(attributes).get("class") or "").split())
        if tag in HEADINGS and "title" in names:
            self.in_title = True
            self.found.append(["", ""])
        elif tag == "div" and (self.skipped or NAVIGATION & names):
            self.skipped += 1
        elif tag == "code":
            self.in_code = True

    def handle_endtag(self, tag):
        if tag in HEADINGS:
            self.in_title = False
        elif tag == "div" and self.skipped:
            self.skipped -= 1
        elif tag == "code":
            self.in_code = False
        elif tag in PARAGRAPHS and self.found:
            self.found[-1][1] += "\n\n"
        elif tag in ("td", "th") and self.found:
            self.found[-1][1] += " "

    def handle_data(self, data):
        if self.found and not self.skipped:
            self.found[-1][0 if self.in_title else 1] += data
            if self.in_code:
                self.code.add(data.strip().removesuffix("()"))

    def sections(self):
        for heading, text in self.found:
            heading = re.sub(r"^[\dA-Z.]*\d+\.\s*", "", " ".join(heading.split()))
            text = re.sub(r"\n{3,}", "\n\n", re.sub(r" ?\n ?", "\n", re.sub(r"[ \t]+", " ", text))).strip()
            yield heading, text


def is_section(heading, text, locale):
    """Whether there is enough text to find, and enough heading to find it by."""
    if locale in UNSPACED:
        return len(heading) >= 4 and len(text) >= 100
    return len(heading.split()) >= 2 and len(text.split()) >= 40


def read(folder, pattern, locale):
    """(sections, names set as code) of a manual."""
    sections, code = [], set()
    for file in sorted(Path(folder).glob(pattern)):
        page = Page(file.read_text(encoding="utf-8"))
        sections += [section for section in page.sections() if is_section(*section, locale)]
        code |= page.code
    return sections, code


def sample(things, most):
    things = list(things)
    return things if len(things) <= most else random.Random(1).sample(things, most)


def heading_queries(sections, manual, locale, untranslated, most):
    """Each unique heading by itself, in each of the questions, and in the first of them as people type who use no capitals.

    A heading in quotes would be a phrase, which the section does not have without its heading. So the quotes are left out."""
    times = collections.Counter(heading for heading, _ in sections)
    usable = [number for number, (heading, _) in enumerate(sections) if times[heading] == 1 and heading not in untranslated]
    asked = [(number, sections[number][0].replace('"', "")) for number in sample(usable, most)]
    forms = {"heading": "{h}"} | {f"question {place}": question for place, question in enumerate(QUESTIONS[locale], 1)}
    queries = [Query(question.format(h=heading, manual=manual), (number,), form)
               for form, question in forms.items() for number, heading in asked]
    return queries + [Query(query.text.lower(), query.relevant, "question 1 in lower case") for query in queries if query.form == "question 1"]


def names_within(text):
    """The identifiers of a text, and those within longer ones: pg_stat_activity.pid mentions pg_stat_activity, too."""
    for found in set(IDENTIFIER.findall(text)):
        parts = re.split(r"([.-])", found)
        for first in range(0, len(parts), 2):
            for last in range(first, len(parts), 2):
                yield "".join(parts[first:last + 1])


def identifier_queries(sections, code, most):
    """Names that at most MOST_MENTIONS sections mention. The relevant sections are those."""
    mentions = collections.defaultdict(set)
    for number, (_, text) in enumerate(sections):
        for name in code.intersection(names_within(text)):
            mentions[name].add(number)
    usable = sorted(name for name, numbers in mentions.items() if IDENTIFIER.fullmatch(name) and len(numbers) <= MOST_MENTIONS)
    return [Query(name, tuple(sorted(mentions[name])), "identifier") for name in sample(usable, most)]


def manual_set(name, manual, locale, folder, pattern, most, untranslated=frozenset()):
    sections, code = read(folder, pattern, locale)
    queries = heading_queries(sections, manual, locale, untranslated, most) + identifier_queries(sections, code, most)
    return Set(name, locale, sections, queries)


def postgresql(most):
    return manual_set("postgresql-en", "PostgreSQL", "en", "/usr/share/doc", "postgresql-doc-*/html/*.html", most)


def debian(locale, most):
    folder = "/usr/share/debian-reference"
    # A heading that nobody has translated yet is no query in this language.
    english = set() if locale == "en" else {heading for heading, _ in read(folder, "*.en.html", "en")[0]}
    return manual_set(f"debian-{locale}", "Debian", locale, folder, f"*.{locale}.html", most, english)


NAMES = ["postgresql-en", *(f"debian-{locale}" for locale in QUESTIONS)]


def load(name, most_queries):
    """A set by its name, with at most so many queries of each form. Its sections are empty if its package is not installed."""
    manual, locale = name.split("-", 1)
    return postgresql(most_queries) if manual == "postgresql" else debian(locale, most_queries)
