-- What each pillar is for. P1 vision, P2 acteurs and P3 donnees are named by the product. The names of P4 to P6, and all purposes
-- and templates, are proposals of matrice. Projects replace them in the setting "pillars".

create or replace function matrice_private.pillar_defaults(language text)
returns table (code text, name text, purpose text, template text)
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select d.code, d.name, d.purpose, d.template
    from (values
      (false, 'P1', 'vision', 'Why the project exists, and how everybody will know that it succeeded.',
       E'# Vision\n\n## Problem\n\n## Goal\n\n## How success is measured\n\n## What is out of scope\n'),
      (false, 'P2', 'acteurs', 'Who uses the product, who decides, and who is affected.',
       E'# Actors\n\n## Users and their needs\n\n## Who decides\n\n## Who else is affected\n\n## Systems that take part\n'),
      (false, 'P3', 'donnees', 'Which data there are, where they come from, and what may be done with them.',
       E'# Data\n\n## Objects and their fields\n\n## Sources\n\n## Quality and freshness\n\n## Confidentiality and retention\n'),
      (false, 'P4', 'processes', 'What happens, in which order, and who does it.',
       E'# Processes\n\n## Main process\n\n## Variants and exceptions\n\n## Events and hand-overs\n'),
      (false, 'P5', 'rules', 'What must always hold: business rules, law, security and limits.',
       E'# Rules\n\n## Business rules\n\n## Law and standards\n\n## Security\n\n## Limits of time, cost and quality\n'),
      (false, 'P6', 'delivery', 'How it is built, checked, put to use and maintained.',
       E'# Delivery\n\n## Solution\n\n## Plan\n\n## How it is tested\n\n## Operation and risks\n'),
      (true, 'P1', 'vision', 'Pourquoi le projet existe, et comment chacun saura qu''il a réussi.',
       E'# Vision\n\n## Problème\n\n## Objectif\n\n## Mesure du succès\n\n## Hors périmètre\n'),
      (true, 'P2', 'acteurs', 'Qui utilise le produit, qui décide et qui est concerné.',
       E'# Acteurs\n\n## Utilisateurs et besoins\n\n## Qui décide\n\n## Autres personnes concernées\n\n## Systèmes\n'),
      (true, 'P3', 'donnees', 'Quelles données existent, d''où elles viennent et ce qu''il est permis d''en faire.',
       E'# Données\n\n## Objets et champs\n\n## Sources\n\n## Qualité et fraîcheur\n\n## Confidentialité et conservation\n'),
      (true, 'P4', 'processus', 'Ce qui se passe, dans quel ordre, et qui le fait.',
       E'# Processus\n\n## Processus principal\n\n## Variantes et exceptions\n\n## Événements et transmissions\n'),
      (true, 'P5', 'regles', 'Ce qui doit toujours être vrai : règles métier, droit, sécurité et limites.',
       E'# Règles\n\n## Règles métier\n\n## Droit et normes\n\n## Sécurité\n\n## Limites de temps, de coût et de qualité\n'),
      (true, 'P6', 'realisation', 'Comment le produit est construit, vérifié, mis en service et maintenu.',
       E'# Réalisation\n\n## Solution\n\n## Plan\n\n## Tests\n\n## Exploitation et risques\n')
    ) as d (is_french, code, name, purpose, template)
   where d.is_french = (coalesce(language, '') = 'french');
end;
comment on function matrice_private.pillar_defaults is
  'Returns the name, purpose and template of each pillar that a project without settings of its own has. language: the '
  'setting of the project; french gives French texts, everything else English ones.';

create or replace function matrice_private.require_pillar_settings(pillars jsonb) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  wrong text;
begin
  select format('"%s" is no pillar.', left(p.key, 100)) into wrong
    from jsonb_each(pillars) p where p.key <> all (matrice_private.phases()) limit 1;
  if wrong is null then
    select format('That of %s is %s.', p.key, jsonb_typeof(p.value)) into wrong
      from jsonb_each(pillars) p where jsonb_typeof(p.value) <> 'object' limit 1;
  end if;
  if wrong is null then
    select format('%s has "%s".', p.key, left(f.key, 100)) into wrong
      from jsonb_each(pillars) p, jsonb_each(p.value) f
     where f.key not in ('name', 'purpose', 'template') or jsonb_typeof(f.value) <> 'string'
        or (f.key = 'name' and (matrice_private.is_blank(f.value #>> '{}') or octet_length(f.value #>> '{}') > 200))
     limit 1;
  end if;
  if wrong is not null then
    raise exception 'setting "pillars" is wrong'
      using errcode = '22023', detail = wrong,
            hint = 'For example {"P4": {"name": "processes", "purpose": "What happens", "template": "# Processes"}}. All three are '
                   'strings that may be left out. A name has 1 to 200 bytes.';
  end if;
end
$$;
comment on function matrice_private.require_pillar_settings is
  'Raises unless the setting "pillars" says names, purposes and templates of pillars. Null is allowed.';

create or replace function matrice_private.described_pillars(project_id uuid)
returns table (id uuid, code text, name text, purpose text, template text, content text, version integer, updated_at timestamptz)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query
    select p.id, d.code,
           coalesce(s.own ->> 'name', nullif(p.name, matrice_private.pillar_name(d.code)), d.name),
           coalesce(s.own ->> 'purpose', d.purpose), coalesce(s.own ->> 'template', d.template),
           p.content, p.version, p.updated_at
      from matrice.projects r
     cross join lateral matrice_private.pillar_defaults(r.settings ->> 'language') d
     cross join lateral (select r.settings -> 'pillars' -> d.code as own) s
      left join matrice.pillars p on p.project_id = r.id and p.code = d.code
     where r.id = described_pillars.project_id;
end
$$;
comment on function matrice_private.described_pillars is
  'Returns the six pillars of a project with their names, purposes and templates. The name is that of the setting "pillars", '
  'else one that somebody wrote into pillars.name, else the default. A pillar that was never saved has no version.';

create or replace function matrice.pillar_catalog(project_id uuid)
returns table (
  code text, name text, purpose text, template text, version integer, updated_at timestamptz, labels text[]
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  perform matrice_private.require_role(project_id, 'viewer');
  return query
    select d.code, d.name, d.purpose, d.template, d.version, d.updated_at,
           matrice_private.labels_at(d.id, d.version, null)
      from matrice_private.described_pillars(pillar_catalog.project_id) d
     order by d.code;
end
$$;
comment on function matrice.pillar_catalog is
  'Lists the six pillars of a project: what each is called, what it is for, a template to begin with, its current version, and '
  'the labels of that version. Names, purposes and templates come from the setting "pillars". What it leaves out has defaults, '
  'in French if the setting "language" is french, else in English. version and updated_at are null for a pillar that was never '
  'saved. Needs the role viewer.';
