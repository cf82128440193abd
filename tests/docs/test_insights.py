"""Every number of the table of confidences in docs/insights.md is made with the functions of the API; and real statements, told
again, merge."""

import random
import re
import unicodedata

from conftest import ROOT

ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in re.findall(r"^\| \d.*$", (ROOT / "docs" / "insights.md").read_text(), flags=re.MULTILINE)]


class Story:
    """An insight, told by a service. Its first statement and the evidence with a fraction come from documents."""

    def __init__(self, connection, stated, volatility):
        self.one = lambda sql, *values: connection.execute(sql, values).fetchone()[0]
        self.run_sql = lambda sql, *values: connection.execute(sql, values)
        self.project = self.one("insert into matrice.projects (name) values ('x') returning id")
        self.source, chunk = self.document("first")
        self.insight = self.one(
            "select matrice.record_insight(%s, 'learning', 'Wind', 'It falls at dusk', %s, volatility => %s, chunk_ids => array[%s::uuid])",
            self.project, stated, volatility, chunk)

    def document(self, text):
        source = self.one("select matrice.ingest_source(%s, 'doc', %s)", self.project, text)
        return source, self.one("select id from matrice.source_chunks where source_id = %s", source)

    def weaken(self, source, weight):
        if weight == 0.5:
            self.run_sql("select matrice.chunk_source(%s, 'quite another text')", source)
        elif weight == 0.25:
            self.run_sql("delete from matrice.context_sources where id = %s", source)
        else:
            assert weight == 1

    def tell(self, function, weight):
        for _ in range(int(weight)):
            run = self.one("select matrice.start_run(%s, 'wf', 'event')", self.project)
            self.one(f"select matrice.{function}(%s, run_id => %s)", self.insight, run)
        if weight % 1:
            source, chunk = self.document(f"{function} {weight}")
            self.one(f"select matrice.{function}(%s, chunk_ids => array[%s::uuid])", self.insight, chunk)
            self.weaken(source, weight % 1)

    def age(self, days):
        for table, column in (("insights", "id"), ("insight_evidence", "insight_id")):
            self.run_sql(f"update matrice.{table} set created_at = created_at - %s * interval '1 day' where {column} = %s", days, self.insight)

    def confidence(self):
        return self.one("select confidence from matrice.search_insights('wind', %s)", self.project)


def test_every_confidence_of_the_table(matrice_database):
    assert len(ROWS) > 20
    with matrice_database().connect() as connection:
        for row in ROWS:
            stated, first, weight_for, against = map(float, row[:4])
            volatility, days, expected = row[4], int(row[5]), row[6]
            story = Story(connection, stated, volatility)
            story.tell("confirm_insight", weight_for)
            story.tell("contradict_insight", against)
            story.weaken(story.source, first)
            story.age(days)
            assert f"{story.confidence():.3f}" == expected, row

def sentences():
    """Those of the documentation and of the comments on the schema, each once."""
    texts = [path.read_text() for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("*/README.md")])]
    for path in sorted(ROOT.glob("sql/**/*.sql")):
        for comment in re.findall(r"\ncomment on [^;']*? is\s*((?:'(?:[^']|'')*'\s*)+);", path.read_text()):
            texts.append("".join(re.findall(r"'((?:[^']|'')*)'(?:\s*\n\s*|\s*$)", comment)).replace("''", "'"))
    found = {}
    for text in texts:
        for paragraph in re.split(r"```.*?```|\n\s*\n|\n[#*|-] ?|\|", text, flags=re.DOTALL):
            for sentence in re.split(r"(?<=[.!?]) ", " ".join(paragraph.split())):
                if 30 <= len(sentence) <= 400 and sentence[-1] == "." and sentence[0].isalpha():
                    found.setdefault(unicodedata.normalize("NFKC", sentence).lower().strip(" ."), sentence)
    return list(found.values())


# The same statement, as another person or model writes it; and another statement, in nearly the same words.
SPELLINGS = [
    str.upper,
    lambda text: f"“{text}”",
    lambda text: text.rstrip(".").replace(" ", "\u00a0 "),
    lambda text: f"  {unicodedata.normalize('NFD', text)}\n",
    lambda text: text.replace(" ", "\n", 3) + " …",
]
OTHERS = [
    lambda text: f"It is known: {text}",
    lambda text: f"{text.rstrip('.')}?",
    lambda text: " ".join(reversed(text.split())),
    lambda text: f"{text.rstrip('.')}, but not always.",
    lambda text: text.replace(" ", " 7 ", 1),
]


def test_of_ten_thousand_statements_exactly_the_repeats_merge(matrice_database):
    known = sentences()[:2500]
    told = [(number, kind, change(text)) for number, text in enumerate(known) for kind, change in {
        "original": str, "repeat": SPELLINGS[number % 5], "second repeat": SPELLINGS[(number + 2) % 5], "other": OTHERS[number % 5]}.items()]
    random.Random(1).shuffle(told)
    assert len(told) == 10_000
    with matrice_database().connect() as connection:
        project = connection.execute("insert into matrice.projects (name) values ('x') returning id").fetchone()[0]
        insights = {(number, kind): connection.execute(
            "select matrice.record_insight(%s, 'learning', 'Told', %s, url => 'https://example.org/' || %s)",
            [project, text, f"{kind}/{number}"]).fetchone()[0] for number, kind, text in told}
        seen = dict(connection.execute("select insight_id, count(*) from matrice.insight_evidence group by 1").fetchall())
        kept = connection.execute("select count(*) from matrice.insights").fetchone()[0]
    for number in range(len(known)):
        original, *repeats, other = (insights[number, kind] for kind in ("original", "repeat", "second repeat", "other"))
        assert repeats == [original] * 2 and seen[original] == 3, known[number]
        assert other != original and seen[other] == 1, known[number]
    assert kept == len(set(insights.values())) == 2 * len(known)
