-- Insights of large projects: what their reviews and histories read is computed for all insights together.

-- Their arguments or results changed, or nothing calls them any more. sql/007_functions/ creates the others again.
drop function if exists matrice_private.confidence_of, matrice_private.freshness, matrice_private.half_life,
  matrice_private.evidence_weight, matrice_private.weighed_insights, matrice_private.judged_insights,
  matrice_private.is_weakened, matrice_private.doubts, matrice_private.utc;

-- Sums of purged steps travel with a project. Their ids count within a quarter of an hour: those of another database could be
-- the next ones of a sequence here.
alter table matrice_private.metric_facts alter column id drop identity if exists;
