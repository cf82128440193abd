begin;
\ir helpers/setup.psql
select no_plan();

-- What holds of every table, constraint, policy and function. They are read from the catalogue, so a new one that breaks
-- a rule fails here by its name.

create temp view tables as
select c.oid, c.oid::regclass as name, c.relname, c.relnamespace, c.relacl, c.relowner, c.relrowsecurity from pg_class c
 where c.relnamespace in ('matrice'::regnamespace, 'matrice_private'::regnamespace) and c.relkind in ('r', 'p');
create temp view columns as
select t.name, a.attrelid, a.attnum, a.attname, a.attnotnull from tables t
  join pg_attribute a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped;
create temp view functions as
select p.*, p.oid::regprocedure as signature,
  exists (select from pg_depend d where d.objid = p.oid and d.classid = 'pg_proc'::regclass and d.deptype = 'e') as is_member
  from pg_proc p where p.pronamespace in ('matrice'::regnamespace, 'matrice_private'::regnamespace);

select cmp_ok((select count(*) from tables), '>=', 16::bigint, 'There are at least 16 tables');
select cmp_ok((select count(*) from functions), '>=', 60::bigint, 'There are at least 60 functions');

select is_empty($$select name from tables where not relrowsecurity$$, 'Every table has row-level security');
select is_empty($$select name from tables where obj_description(oid, 'pg_class') is null$$, 'Every table has a comment');
select is_empty($$select name, attname from columns where col_description(attrelid, attnum) is null$$, 'Every column has a comment');
select is_empty($$select signature from functions where obj_description(oid, 'pg_proc') is null$$, 'Every function has a comment');
select is_empty(
  $$select f.conrelid::regclass, f.conname from pg_constraint f join tables t on t.oid = f.conrelid
     where f.contype = 'f' and not exists (
       select from pg_index i
        where i.indrelid = f.conrelid and i.indisvalid and i.indpred is null
          and (select array_agg(key order by place) from unnest(i.indkey::smallint[]) with ordinality as keys (key, place)
                where place <= cardinality(f.conkey)) = f.conkey)$$,
  'Every foreign key has an index that starts with its columns in their order');
select is_empty(
  $$select c.conrelid::regclass, c.conname from pg_constraint c join tables t on t.oid = c.conrelid
     where c.contype in ('p', 'u', 'f', 'c')
       and (not starts_with(c.conname, t.relname || '_')
            or c.contype = 'p' and c.conname <> t.relname || '_pkey'
            or c.contype = 'u' and c.conname <> t.relname || '_' || (
                 select string_agg(attname, '_' order by place) from unnest(c.conkey) with ordinality as keys (key, place)
                   join columns on attrelid = c.conrelid and attnum = key) || '_key'
            or c.contype = 'f' and c.conname not like '%\_fkey'
            or c.conname ~ '[0-9]$')$$,
  'Every constraint is named after its table and columns, with _pkey, _key or _fkey');
select is_empty(
  $$select c.conname, value[1] from pg_constraint c join tables t on t.oid = c.conrelid
      cross join regexp_matches(pg_get_constraintdef(c.oid), $r$'(\w+)'::text(?=[,\]])$r$, 'g') value
     where c.contype = 'c' and c.conname not like '%' || value[1] || '%' and not (value[1] ~ '^P[1-6]$' and c.conname ~ 'p1_to_p6')$$,
  'The name of every check constraint contains the values that it allows');
select is_empty($$select name from tables t where not exists (select from pg_constraint c where c.conrelid = t.oid and c.contype = 'p')$$,
                'Every table has a primary key');
select is_empty(
  $$select t.name from tables t join columns c on c.attrelid = t.oid and c.attname = 'project_id'
     where not exists (select from pg_index i where i.indrelid = t.oid and i.indkey[0] = c.attnum
                          and (i.indpred is null or t.relname = 'embedding_leases'))$$,
  'Every table with project_id has an index that starts with project_id');
select is_empty($$select name from columns where attname = 'project_id' and not attnotnull$$, 'Every project_id is not null');
select is_empty(
  $$select i.indexrelid::regclass from pg_index i
      join columns c on c.attrelid = i.indrelid and c.attnum = any (i.indkey[1:]) and c.attname = 'chunk_id'
     where i.indrelid = 'matrice.embedding_leases'::regclass$$,
  'No index of leases has chunk_id behind another column: a lookup might read all of it');

-- An empty search_path would let pg_temp come first for types and relations, so that whoever makes a type pg_temp.uuid runs code as
-- the owner (C2). Most of the engine's functions in Rust resolve no names: only those that run queries or look up dictionaries do.
select is_empty($$select signature, proconfig from functions
                   where not (is_member and proname not in ('migrate', '_nearest_chunks', '_build_codes', '_train_cells', '_cell_codes', 'analyze_text', '_text_vector', '_query_words',
                                                            '_rank_words', '_highlight'))
                     and not coalesce(proconfig::text ~ 'search_path=pg_catalog, (extensions, |public, )?pg_temp"', false)$$,
                'Every function that resolves names has pg_catalog first and pg_temp last in its search_path');
select is_empty($$select signature from functions, aclexplode(coalesce(proacl, acldefault('f', proowner))) a where a.grantee = 0$$,
                'No function is executable by PUBLIC');
select is_empty($$select signature from functions where has_function_privilege('anon', oid, 'execute')$$, 'No function is executable by anon');
select is_empty($$select proname from functions where pronamespace = 'matrice'::regnamespace group by proname having count(*) > 1$$,
                'No two functions of schema matrice have the same name');
select is_empty($$select signature from functions where pronamespace = 'matrice'::regnamespace and prosecdef$$,
                'No function of schema matrice is SECURITY DEFINER');
select set_eq(format($$select proname from functions where pronamespace = 'matrice'::regnamespace and not has_function_privilege(%L, oid, 'execute')$$, role),
              '{migrate,_price_catalogue,_nearest_chunks,_build_codes,_train_cells,_cell_codes,_coded_chunks,_whole_sentences,_find_quote,_normal_text,_likeness,_sketch,_text_vector,_analysis,_query_words,_highlight,
                _index_words,_deletion,_diff_lines,_unified_diff,_read_embeddings,_little_endian,_norm,_read_usage,_known_usage,_plain_price,_find_model,_undated_name,_has_request_fee,_sketch_latencies,_merge_latencies,_negate_latencies,_latency_percentiles,_report,_seal,_is_sealed,_merge_words,_live_texts,_rank_words}'::name[],
              format('%s may execute every function of schema matrice but migrate and those with an underscore', role))
  from unnest(array['authenticated', 'service_role']) role;
select is_empty(
  $$select signature from functions where is_member and pronamespace <> 'matrice'::regnamespace$$, 'Every function of the extension is in schema matrice');
select is_empty(
  $$select t.name from tables t join pg_depend d on d.classid = 'pg_class'::regclass and d.objid = t.oid and d.deptype = 'e'$$,
  'No table is a member of the extension');
select is_empty(
  $$select d.classid::regclass, d.objid from pg_depend d join functions f on d.refclassid = 'pg_proc'::regclass and d.refobjid = f.oid
     where f.is_member and d.deptype = 'n'$$,
  'No stored object depends on a function of the extension');
select is_empty(
  $$select t.name, role, privilege from tables t, unnest(array['anon', 'public']) role, unnest(array['select', 'insert', 'update', 'delete', 'truncate']) privilege
     where has_table_privilege(role, t.oid, privilege)$$,
  'anon and PUBLIC have no privilege on any table');
select is_empty(
  $$select t.name from tables t where relnamespace = 'matrice'::regnamespace and not exists (
      select from pg_policies p where (p.schemaname || '.' || p.tablename)::regclass = t.oid and p.cmd = 'SELECT' and p.roles = '{authenticated}')$$,
  'Every table of schema matrice has a select policy for authenticated');
-- So they need no policies: with row-level security and without one, not even a grant by mistake would show a row.
select set_eq(
  $$select t.name::text, a.grantee::regrole::text, a.privilege_type from tables t, aclexplode(coalesce(relacl, acldefault('r', relowner))) a
     where relnamespace = 'matrice_private'::regnamespace and a.grantee <> relowner$$,
  $$values ('matrice_private.migrations', 'service_role', 'SELECT')$$, 'Tables of matrice_private are granted to nobody, but migrations to service_role');
select is_empty(
  $$select schemaname, tablename, cmd from pg_policies where schemaname = 'matrice'
     group by 1, 2, 3 having count(*) > 1 or bool_or(permissive <> 'PERMISSIVE' or cmd = 'ALL' or roles <> '{authenticated}')$$,
  'No table of schema matrice has two policies for a verb, and all are permissive and for authenticated');

select set_eq(
  format($$select (regexp_matches(pg_get_constraintdef(oid), $r$'(\w+)'::text$r$, 'g'))[1] from pg_constraint where conname = %L$$, name), vocabulary,
  name || ' allows what the functions do')
  from (values ('projects_current_phase_p1_to_p6_check', matrice_private.phases()), ('pillars_code_p1_to_p6_check', matrice_private.phases()),
               ('workflow_runs_phase_p1_to_p6_check', matrice_private.phases()),
               ('user_projects_role_owner_editor_viewer', matrice_private.roles()),
               ('project_invitations_role_owner_editor_viewer', matrice_private.roles())) as vocabularies (name, vocabulary);

select * from finish();
rollback;
