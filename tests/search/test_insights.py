"""10,000 insights made of the sentences of this repository: exactly the repeats merge."""

import random
import re
import unicodedata

from conftest import ROOT

QUOTES = "\"'`«»‹›“”„‟‘’‚‛「」『』"
HOW_MANY = 10000


def sentences():
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("sql/**/*.sql"), *ROOT.glob("crates/core/src/**/*.rs")]
    text = " ".join(page.read_text() for page in sorted(pages))
    text = re.sub(r"\s+", " ", re.sub(r"[-/*|`#']+", " ", text))
    found = {sentence.strip() for sentence in re.split(r"(?<=[.!?])\s+", text)}
    return sorted(sentence for sentence in found if 40 < len(sentence) < 300)


def normal(text):
    """What docs/insights.md says of the same statement, written once more."""
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).lower()).replace("ς", "σ")
    return re.sub(r"\s+", " ", text).strip(QUOTES + " ").rstrip(QUOTES + " .,;:!")


def repeated(text, chance):
    """The same statement, written otherwise."""
    text = chance.choice([str, str.upper, str.lower, lambda t: unicodedata.normalize("NFKD", t)])(text)
    text = chance.choice([text, text.replace(" ", "  ", 3), text.replace(" ", "\n\t", 2), text.replace(" ", "\u00a0")])
    return chance.choice(["", "“", " "]) + text + chance.choice(["", "!", "…", "” ", " .."])


def paraphrased(text, chance):
    """Another statement in almost the same words."""
    words = text.split()
    place = chance.randrange(len(words) - 1)
    return chance.choice([
        " ".join(words[:place] + [words[place] + "s"] + words[place + 1:]),
        " ".join(words[:place] + ["not"] + words[place:]),
        " ".join(words[:place] + words[place + 1:]),
        " ".join(words[place:] + words[:place]),
        text.rstrip(".") + " 7",
        text.rstrip(".") + "?",
    ])


def test_exactly_the_repeats_merge(matrice_database):
    chance = random.Random(19)
    known = chance.sample(sentences(), 2500)
    told = list(known)
    while len(told) < HOW_MANY:
        told.append((repeated if chance.random() < 0.4 else paraphrased)(chance.choice(known), chance))
    chance.shuffle(told)
    with matrice_database().connect() as connection:
        project = connection.execute(
            "insert into matrice.projects (name, settings) values ('x', '{\"language\": \"english\"}') returning id").fetchone()[0]
        ids = [connection.execute("select matrice.record_insight(%s, 'learning', 'Repository', %s)", [project, text]).fetchone()[0]
               for text in told]
        statements = {}
        for text, insight in zip(told, ids):
            statements.setdefault(normal(text), set()).add(insight)
        assert all(len(insights) == 1 for insights in statements.values()), "a repeat was not known again"
        assert len(set(ids)) == len(statements), "another statement was taken for a repeat"
        assert len(statements) < HOW_MANY - 2000
        assert connection.execute("select count(*) from matrice.insights").fetchone()[0] == len(statements)
        # The paraphrases are candidates, of what is alike by the words of both.
        linked = connection.execute("select count(distinct insight_id) from matrice.insight_candidates").fetchone()[0]
        assert linked > 0.8 * (len(statements) - len({normal(text) for text in known}))
