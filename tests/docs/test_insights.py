"""Every number of the table of confidences in docs/insights.md is made with the functions of the API."""

import re

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
        for number in range(int(weight)):
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
