begin;
\ir helpers/setup.psql
select no_plan();

select tests.as_user('victor');

-- Tokens -----------------------------------------------------------------------------------------------------------

select results_eq(
  $$select encoding, matrice.count_tokens('antidisestablishmentarianism', encoding), matrice.count_tokens('お誕生日おめでとう', encoding)
      from unnest(array['r50k_base', 'p50k_base', 'cl100k_base', 'o200k_base']) encoding$$,
  $$values ('r50k_base', 5, 14), ('p50k_base', 5, 14), ('cl100k_base', 6, 9), ('o200k_base', 6, 8)$$,
  'Tokens are counted as OpenAI''s cookbook counts them');
select is(matrice.tokenize('tiktoken is great!'), '{83,1609,5963,374,2294,0}', 'The default model''s encoding is cl100k_base');
select results_eq(
  $$select model, matrice.count_tokens('お誕生日おめでとう', model)
      from unnest(array['text-embedding-3-large', 'gpt-4', 'gpt-4o', 'openai/gpt-4o-mini', 'gpt-4o-2024-08-06']) model$$,
  $$values ('text-embedding-3-large', 9), ('gpt-4', 9), ('gpt-4o', 8), ('openai/gpt-4o-mini', 8), ('gpt-4o-2024-08-06', 8)$$,
  'Models count by their encoding, dated and prefixed names included');
select is(matrice.count_tokens('<|endoftext|>'), 7, 'A special token in a text counts as its characters');
select is(matrice.detokenize(matrice.tokenize('<|endoftext|>')), '<|endoftext|>', 'A special token in a text stays text');
select is(matrice.count_tokens(''), 0, 'An empty text has no tokens');
select is(matrice.tokenize(''), '{}', 'An empty text is no tokens');
select is(matrice.detokenize('{}'), '', 'No tokens are an empty text');
select is(matrice.count_tokens(null), null, 'Null has no number of tokens');

create temp table texts (text text) on commit drop;
insert into texts values (''), (' '), ('Hello, world!'), (E'Zeile eins\r\n\tZeile zwei\n'), ('L''été dernier, à Orléans…'), ('日本語のテキストです。'),
  ('👩‍👩‍👧‍👦 family, 𓀀 man'), ('<|im_start|>user'), (repeat('ab ', 500)), (repeat('x', 3000));
select is_empty(
  $$select text, encoding from texts, unnest(array['r50k_base', 'p50k_base', 'p50k_edit', 'cl100k_base', 'o200k_base', 'o200k_harmony']) encoding
     where matrice.detokenize(matrice.tokenize(text, encoding), encoding) is distinct from text
        or cardinality(matrice.tokenize(text, encoding)) is distinct from matrice.count_tokens(text, encoding)$$,
  'In every encoding the tokens spell the text and are as many as are counted');
select is_empty(
  $$select text, most from texts, unnest(array[0, 1, 2, 3, 7, 100]) most, lateral matrice.truncate_tokens(text, most) cut
     where not starts_with(text, cut) or matrice.count_tokens(cut) > most or (matrice.count_tokens(text) <= most) <> (cut = text)$$,
  'A truncated text is a beginning of at most so many tokens, and the whole where it fits');
select is(matrice.truncate_tokens('tiktoken is great!', 3), 'tiktoken', 'A text is cut after the token');
select is(matrice.truncate_tokens('𓀀𓀀', 1), '', 'No character is cut in two');

select tests.refuses($$select matrice.count_tokens('x', 'gpt-9000x')$$, '22023', 'An unknown model is refused with a list of what is known', hint => '%cl100k_base%');
select tests.refuses($$select matrice.count_tokens('x', '')$$, '22023', 'An empty name is unknown', hint => '%o200k_base%');
select tests.refuses($$select matrice.tokenize('x', 'no-such')$$, '22023', 'tokenize refuses an unknown model', hint => '%cl100k_base%');
select tests.refuses($$select matrice.truncate_tokens('x', 1, 'no-such')$$, '22023', 'truncate_tokens refuses an unknown model', hint => '%cl100k_base%');
select tests.refuses(format('select matrice.count_tokens(''x'', %L)', model), '22023', 'The tokens of ' || model || ' are not guessed at: its vendor counts them', '%guess%', '%API%cl100k_base%', '%not included')
  from unnest(array['claude-sonnet-4-5', 'us.anthropic.claude-sonnet-4-v1:0', 'gemini-2.5-pro', 'grok-4', 'amazon.nova-lite-v1:0']) model;
select tests.refuses(format('select matrice.count_tokens(''x'', %L)', model), '22023', 'The tokenizer of ' || model || ' is published, and not included', '%guess%', '%published%cl100k_base%', '%not included')
  from unnest(array['meta-llama/Llama-3.1-8B', 'llama-3-70b', 'Qwen/Qwen3-8B', 'deepseek-chat', 'mistral-large-latest', 'voyage-3.5', 'command-r', 'gte-small', 'google/gemma-3-4b']) model;
select tests.refuses($$select matrice.truncate_tokens('x', -1)$$, '22023', 'Nothing is truncated to fewer tokens than none');
select tests.refuses($$select matrice.detokenize('{-1}')$$, '22023', 'A negative token is unknown', hint => '%');
select tests.refuses($$select matrice.detokenize('{2147483647}')$$, '22023', 'A token beyond the vocabulary is unknown', hint => '%');
select tests.refuses($$select matrice.detokenize('{15339,null}')$$, '22023', 'A null is no token');
select tests.refuses($$select matrice.detokenize((matrice.tokenize('𓀀'))[1:1])$$, '22023', 'Half a character is no text', '%', '%');
select tests.refuses($$select matrice.detokenize('{15339}', 'no-such')$$, '22023', 'detokenize refuses an unknown model', hint => '%cl100k_base%');

-- A temporary table would not be read in parallel.
select tests.as_owner();
create table tests.many as select 'Text number ' || i || ', of some words.' as content from generate_series(1, 20000) i;
grant select on tests.many to public;
select tests.as_user('victor');
create function pg_temp.plan(statement text) returns setof text language plpgsql as $$
begin
  return query execute 'explain (analyze, costs off, timing off, summary off) ' || statement;
end
$$;
set local max_parallel_workers_per_gather = 0;
select sum(matrice.count_tokens(content)) as alone from tests.many \gset
set local max_parallel_workers_per_gather = 2;
set local min_parallel_table_scan_size = 0;
set local parallel_setup_cost = 0;
set local parallel_tuple_cost = 0;
select ok(bool_or(plan ~ 'Partial Aggregate') and bool_or(plan ~ 'Workers Launched: [12]'), 'Many texts are counted by several workers')
  from pg_temp.plan('select sum(matrice.count_tokens(content)) from tests.many') plan;
select is(sum(matrice.count_tokens(content)), :alone::bigint, 'Several workers count what one does') from tests.many;

-- Chunks -----------------------------------------------------------------------------------------------------------

create temp table documents (format text, content text) on commit drop;
insert into documents values
  ('text', E'The wind rose at dawn. It blew from the west, over the marshes.\n\nBy noon it had turned; nobody wrote down why.\n\n' ||
           E'L''été fut long — très long — et les bateaux restèrent au port. 日本の船も来なかった。👩‍👩‍👧‍👦 waited.\r\n\r\nThe end.   '),
  ('markdown', E'Before all headings.\n\n# Guide\n\nIntroduction to it.\n\n## Install\n\nRun the installer, then *restart*.\n\n' ||
               E'```sh\nmake install\n```\n\n### Linux\n\n- one\n- two\n\n## Use\n\nUse it every day, and never at night.\n\n# Annex\n\nNothing.\n'),
  ('rust', E'fn one() -> u32 {\n    1\n}\n\nfn four() -> u32 {\n    let two = 2;\n    two * two\n}\n'),
  ('python', E'def one():\n    return 1\n\n\nclass Two:\n    def three(self):\n        return "drei"\n'),
  ('typescript', E'export const one = 1;\nexport function two(): number {\n  return one + one;\n}\n'),
  ('tsx', E'export const Page = () => <main><h1>Hi</h1></main>;\nconst two = 2;\n'),
  ('javascript', E'const one = 1;\nfunction two() { return one + one; }\n'),
  ('go', E'package main\n\nfunc one() int {\n\treturn 1\n}\n'),
  ('sql', E'select 1;\n\ncreate table t (a integer);\n\nselect a from t where a > 1;\n');
create temp table cuts on commit drop as
select d.format, d.content as document, size, overlap, c.*
  from documents d,
       (values (8, 0), (16, 0), (16, 5), (64, 32), (512, 64)) as sizes (size, overlap),
       matrice.chunk_text(d.content, size, overlap, d.format) c;

select is(count(distinct format), 9::bigint, 'Every format gives chunks') from cuts;
select is_empty($$select * from cuts where substr(document, start_char + 1, end_char - start_char) <> content$$,
                'A chunk is what stands between its start and its end');
select is_empty($$select * from cuts where token_count <> matrice.count_tokens(content)$$, 'A chunk''s tokens are counted exactly');
select is_empty($$select * from cuts where token_count not between 1 and size$$, 'No chunk is empty or too large');
select is_empty(
  $$select format, size, overlap from (select *, row_number() over (partition by format, size, overlap order by start_char, end_char) - 1 as place from cuts) c
     where place <> chunk_index$$,
  'Chunks are numbered from 0 in the order of the text');
select is_empty(
  $$select format, size, overlap, lost
      from (select *, substr(document, reached + 1, greatest(start_char - reached, 0)) as lost
              from (select *, coalesce(max(end_char) over (partition by format, size, overlap order by chunk_index
                                                            rows between unbounded preceding and 1 preceding), 0) as reached from cuts) c) c
     where btrim(lost, E' \t\r\n') <> ''$$,
  'Nothing but white space is lost between chunks');
select is_empty(
  $$select format, size from cuts group by format, size, document having btrim(substr(document, max(end_char) + 1), E' \t\r\n') <> ''$$,
  'Nothing but white space is lost at the end');
select is_empty(
  $$select c.format, c.size from cuts c join cuts d using (format, size, overlap) where overlap = 0 and d.chunk_index = c.chunk_index + 1 and d.start_char < c.end_char$$,
  'Chunks without overlap do not overlap');
select isnt_empty(
  $$select from cuts c join cuts d using (format, size, overlap) where overlap = 5 and d.chunk_index = c.chunk_index + 1 and d.start_char < c.end_char$$,
  'Chunks with overlap do');
select is_empty($$select * from cuts where format <> 'markdown' and metadata <> '{}'$$, 'Only markdown has headings');
select results_eq(
  $$select content, metadata -> 'headings' from matrice.chunk_text((select content from documents where format = 'markdown'), 14, 0, 'markdown')
     where content ~ 'Before|Introduction|restart|one|every|Nothing' order by chunk_index$$,
  $$values ('Before all headings.', null::jsonb),
           (E'# Guide\n\nIntroduction to it.', '["Guide"]'),
           (E'## Install\n\nRun the installer, then *restart*.', '["Guide", "Install"]'),
           (E'### Linux\n\n- one\n- two', '["Guide", "Install", "Linux"]'),
           (E'## Use\n\nUse it every day, and never at night.', '["Guide", "Use"]'),
           (E'# Annex\n\nNothing.', '["Annex"]')$$,
  'A chunk of markdown knows its full path of headings');
-- As GitHub shows them.
select is(
  (select coalesce(metadata -> 'headings', '[]') from matrice.chunk_text(markdown || E'\n\n' || repeat('text ', 60), 32, 0, 'markdown') order by chunk_index desc limit 1),
  headings, 'Headings: ' || what)
  from (values
    ('a byte order mark before a title', E'\ufeff# Title', '["Title"]'::jsonb),
    ('a byte order mark before an underlined title', E'\ufeffTitle\n===', '["Title"]'),
    ('a byte order mark before front matter', E'\ufeff---\ntitle: x\n---\n\n# Title', '["Title"]'),
    ('a byte order mark before a fence', E'\ufeff```\n# code\n```', '[]'),
    ('one behind a footnote definition', E'# A\n\n[^1]: a note\n# B', '["B"]'),
    ('none in a footnote', E'# A\n\n[^1]: a note\n\n    # B', '["A"]'),
    ('double brackets are text', '# Using x[[1]]', '["Using x[[1]]"]'),
    ('an indented one behind a term', E'# A\n\nterm\n: definition\n\n  ## B', '["A", "B"]'),
    ('a reference to a footnote is not part of one', E'# A[^1]\n\n[^1]: x', '["A"]')
  ) as cases (what, markdown, headings);
select is(content, E'\ufeff# Title\n\ntext', 'A byte order mark stays in the text of the first chunk')
  from matrice.chunk_text(E'\ufeff# Title\n\ntext', format => 'markdown');
select results_eq(
  $$select content from matrice.chunk_text((select content from documents where format = 'rust'), 26, 0, 'rust')$$,
  $$values (E'fn one() -> u32 {\n    1\n}'), (E'fn four() -> u32 {\n    let two = 2;\n    two * two\n}')$$,
  'Code is cut between functions');
select results_eq(
  $$select chunk_index, content, start_char, end_char from matrice.chunk_text('  One small text. ')$$,
  $$values (0, 'One small text.', 2, 17)$$,
  'A text that fits is one chunk without the white space around it');
select results_eq(
  $$select token_count from matrice.chunk_text('お誕生日おめでとう', model => 'gpt-4o')$$, $$values (8)$$,
  'Chunks are measured in the tokens of the model');
select is_empty($$select matrice.chunk_text('')$$, 'An empty text has no chunks');
select is_empty($$select matrice.chunk_text(E' \n\t ')$$, 'A blank text has no chunks');
select is_empty($$select matrice.chunk_text(null)$$, 'Null has no chunks');

select tests.refuses($$select matrice.chunk_text('x', format => 'docx')$$, '22023', 'An unknown format is refused with a list of what is known', hint => '%markdown%rust%');
select tests.refuses($$select matrice.chunk_text('x', format => '')$$, '22023', 'An empty format is unknown', hint => '%text%');
select tests.refuses($$select matrice.chunk_text('x', model => 'no-such')$$, '22023', 'An unknown model is refused', hint => '%cl100k_base%');
select tests.refuses($$select matrice.chunk_text('x', 0, 0)$$, '22023', 'Chunks have at least one token');
select tests.refuses($$select matrice.chunk_text('x', -5)$$, '22023', 'Chunks have no negative size');
select tests.refuses($$select matrice.chunk_text('x', 64, 33)$$, '22023', 'H6: chunk_text refuses an overlap of more than half', hint => '%at most 32,%');
select tests.refuses($$select matrice.chunk_text('x', 8000, 7999)$$, '22023', 'H6: chunk_text refuses an overlap near the size', hint => '%at most 4000,%');
select tests.refuses($$select matrice.chunk_text('x', 10, 2147483647)$$, '22023', 'H6: chunk_text refuses a huge overlap', hint => '%at most 5,%');
select results_eq(
  $$select size, chunk.* from documents, unnest(array[1, 2, 10, 50, 127]) size, matrice.chunk_text(repeat('word ', 200), size) chunk where format = 'text'$$,
  $$select size, chunk.* from documents, unnest(array[1, 2, 10, 50, 127]) size, matrice.chunk_text(repeat('word ', 200), size, size / 2) chunk where format = 'text'$$,
  'chunk_text: the default overlap is half of a chunk that is smaller than twice of it');
select is(max(chunk.token_count), 50, 'chunk_text(text, 50) works') from matrice.chunk_text(repeat('word ', 200), 50) chunk;
select tests.refuses(format('select * from matrice.chunk_text(%L, %s => null)', content, argument), '22004',
                     format('chunk_text refuses null for %s', argument), hint => '%default%', message => argument || ' must not be null')
  from unnest(array['max_tokens', 'overlap_tokens', 'format', 'model']) argument, unnest(array['x', null]) content;
select is_empty($$select matrice.chunk_text(null, 10, 5, 'markdown', 'gpt-4o')$$, 'chunk_text(null) has no rows');
select results_eq(
  $$select provolatile, proparallel, proisstrict from pg_proc where oid = 'matrice.chunk_text'::regproc$$,
  $$values ('i'::"char", 's'::"char", false)$$, 'chunk_text is immutable and parallel safe');
select tests.refuses($$select matrice.chunk_text('x', 10, -1)$$, '22023', 'A negative overlap is refused');
select tests.refuses($$select matrice.chunk_text('𓀀', 1, 0)$$, '22023', 'A character that is larger than a chunk is refused', '%', '%');
select results_eq($$select content from matrice.chunk_text('x', 2147483647, 0)$$, $$values ('x')$$, 'There is no largest size');

select is_empty(
  $$select format, opening from documents, unnest(array['(', '[', '{', '<a>', '> ', '- ', '#', '*a_', '"', '`']) opening,
           lateral (select sum(length(c.content)) as length from matrice.chunk_text(repeat(opening, 1000), 512, 0, format) c) cut
     where cut.length is null$$,
  'Text that opens and never closes is cut in every format');

select tests.as_anon();
select tests.refuses($$select matrice.count_tokens('x')$$, '42501', 'Anonymous visitors count no tokens');

select * from finish();
rollback;
