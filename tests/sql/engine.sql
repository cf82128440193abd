begin;
\ir helpers/setup.psql
select no_plan();

select tests.as_user('victor');

-- Tokens -----------------------------------------------------------------------------------------------------------

select results_eq(
  $$select encoding, matrice.count_tokens('antidisestablishmentarianism', encoding), matrice.count_tokens('お誕生日おめでとう', encoding)
      from unnest(array['r50k_base', 'p50k_base', 'cl100k_base', 'o200k_base']) encoding$$,
  $$values ('r50k_base', 5, 14), ('p50k_base', 5, 14), ('cl100k_base', 6, 9), ('o200k_base', 6, 8)$$,
  'count_tokens returns the numbers of OpenAI''s cookbook');
select is(matrice.tokenize('tiktoken is great!'), '{83,1609,5963,374,2294,0}', 'tokenize by default uses cl100k_base');
select results_eq(
  $$select model, matrice.count_tokens('お誕生日おめでとう', model)
      from unnest(array['text-embedding-3-large', 'gpt-4', 'gpt-4o', 'openai/gpt-4o-mini', 'gpt-4o-2024-08-06']) model$$,
  $$values ('text-embedding-3-large', 9), ('gpt-4', 9), ('gpt-4o', 8), ('openai/gpt-4o-mini', 8), ('gpt-4o-2024-08-06', 8)$$,
  'count_tokens knows the encoding of each model, also by dated and prefixed names');
select is(matrice.count_tokens('<|endoftext|>'), 7, 'count_tokens of <|endoftext|> counts its characters');
select is(matrice.detokenize(matrice.tokenize('<|endoftext|>')), '<|endoftext|>', 'tokenize and detokenize return <|endoftext|> as text');
select is(matrice.count_tokens(''), 0, 'count_tokens of an empty text returns 0');
select is(matrice.tokenize(''), '{}', 'tokenize of an empty text returns no tokens');
select is(matrice.detokenize('{}'), '', 'detokenize of no tokens returns an empty text');
select is(matrice.count_tokens(null), null, 'count_tokens of null returns null');

create temp table texts (text text) on commit drop;
insert into texts values (''), (' '), ('Hello, world!'), (E'Zeile eins\r\n\tZeile zwei\n'), ('L''été dernier, à Orléans…'), ('日本語のテキストです。'),
  ('👩‍👩‍👧‍👦 family, 𓀀 man'), ('<|im_start|>user'), (repeat('ab ', 500)), (repeat('x', 3000));
select is_empty(
  $$select text, encoding from texts, unnest(array['r50k_base', 'p50k_base', 'p50k_edit', 'cl100k_base', 'o200k_base', 'o200k_harmony']) encoding
     where matrice.detokenize(matrice.tokenize(text, encoding), encoding) is distinct from text
        or cardinality(matrice.tokenize(text, encoding)) is distinct from matrice.count_tokens(text, encoding)$$,
  'tokenize in every encoding returns tokens that spell the text, as many as count_tokens says');
select is_empty(
  $$select text, most from texts, unnest(array[0, 1, 2, 3, 7, 100]) most, lateral matrice.truncate_tokens(text, most) cut
     where not starts_with(text, cut) or matrice.count_tokens(cut) > most or (matrice.count_tokens(text) <= most) <> (cut = text)$$,
  'truncate_tokens returns a beginning of at most max_tokens, and the whole text if it fits');
select is(matrice.truncate_tokens('tiktoken is great!', 3), 'tiktoken', 'truncate_tokens cuts after the last token that fits');
select is(matrice.truncate_tokens('𓀀𓀀', 1), '', 'truncate_tokens does not cut a character in two');

select tests.refuses($$select matrice.count_tokens('x', 'gpt-9000x')$$, '22023', 'count_tokens refuses model gpt-9000x and lists the encodings',
                     hint => '%cl100k_base%');
select tests.refuses($$select matrice.count_tokens('x', '')$$, '22023', 'count_tokens refuses an empty model', hint => '%o200k_base%');
select tests.refuses($$select matrice.tokenize('x', 'no-such')$$, '22023', 'tokenize refuses model no-such', hint => '%cl100k_base%');
select tests.refuses($$select matrice.truncate_tokens('x', 1, 'no-such')$$, '22023', 'truncate_tokens refuses model no-such', hint => '%cl100k_base%');
select tests.refuses(format('select matrice.count_tokens(''x'', %L)', model), '22023',
                     'count_tokens refuses model ' || model || ': its vendor counts the tokens', '%guess%', '%API%cl100k_base%', '%not included')
  from unnest(array['claude-sonnet-4-5', 'us.anthropic.claude-sonnet-4-v1:0', 'gemini-2.5-pro', 'grok-4', 'amazon.nova-lite-v1:0']) model;
select tests.refuses(format('select matrice.count_tokens(''x'', %L)', model), '22023',
                     'count_tokens refuses model ' || model || ': its tokenizer is published, and not included', '%guess%', '%published%cl100k_base%',
                     '%not included')
  from unnest(array['meta-llama/Llama-3.1-8B', 'llama-3-70b', 'Qwen/Qwen3-8B', 'deepseek-chat', 'mistral-large-latest', 'voyage-3.5', 'command-r', 'gte-small',
                    'google/gemma-3-4b']) model;
select tests.refuses($$select matrice.truncate_tokens('x', -1)$$, '22023', 'truncate_tokens refuses max_tokens -1');
select tests.refuses($$select matrice.detokenize('{-1}')$$, '22023', 'detokenize refuses token -1', hint => '%');
select tests.refuses($$select matrice.detokenize('{2147483647}')$$, '22023', 'detokenize refuses token 2147483647', hint => '%');
select tests.refuses($$select matrice.detokenize('{15339,null}')$$, '22023', 'detokenize refuses a token null');
select tests.refuses($$select matrice.detokenize((matrice.tokenize('𓀀'))[1:1])$$, '22023', 'detokenize refuses tokens of half a character', '%', '%');
select tests.refuses($$select matrice.detokenize('{15339}', 'no-such')$$, '22023', 'detokenize refuses model no-such', hint => '%cl100k_base%');

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
select ok(bool_or(plan ~ 'Partial Aggregate') and bool_or(plan ~ 'Workers Launched: [12]'), 'count_tokens of many rows runs in several workers')
  from pg_temp.plan('select sum(matrice.count_tokens(content)) from tests.many') plan;
select is(sum(matrice.count_tokens(content)), :alone::bigint, 'count_tokens in several workers returns what one returns') from tests.many;

-- Chunks -----------------------------------------------------------------------------------------------------------

create temp table documents (format text, content text) on commit drop;
insert into documents values
  ('text', E'The wind rose at dawn. It blew from the west, over the marshes.\n\nBy noon it had turned; nobody wrote down why.\n\n' ||
           E'L''été fut long — très long — et les bateaux restèrent au port. 日本の船も来なかった。👩‍👩‍👧‍👦 waited.\r\n\r\nThe end.   '),
  ('markdown', E'Before all headings.\n\n# Guide\n\nIntroduction to it.\n\n## Install\n\nRun the installer, then *restart*.\n\n' ||
               E'```sh\nmake install\n```\n\n### Linux\n\n- one\n- two\n\n## Use\n\nUse it every day, and never at night.\n\n# Annex\n\nNothing.\n'),
  ('html', E'<!DOCTYPE html>\n<title>Guide</title>\n<h1>Guide</h1>\n<p>Introduction to it &amp; more.</p>\n<h2>Install <i>it</i></h2>\n' ||
           E'<table><tr><th>Name</th></tr>\n<tr><td>make</td></tr>\n<tr><td>make install</td></tr></table>\n<pre>\n  make\n</pre>\n'),
  ('csv', E'id;name;note\r\n1;Ann;"two\r\nlines"\r\n2;Bob;"a; b"\r\n3;"Eve ""E""";\r\n'),
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

select is(count(distinct format), 11::bigint, 'chunk_text returns chunks in each of eleven formats') from cuts;
select is_empty($$select * from cuts where substr(document, start_char + 1, end_char - start_char) <> content$$,
                'chunk_text: content is the text between start_char and end_char');
select is_empty($$select * from cuts where token_count <> matrice.count_tokens(content)$$, 'chunk_text: token_count is exact');
select is_empty($$select * from cuts where token_count not between 1 and size$$, 'chunk_text: every chunk has from 1 to max_tokens tokens');
select is_empty(
  $$select format, size, overlap from (select *, row_number() over (partition by format, size, overlap order by start_char, end_char) - 1 as place from cuts) c
     where place <> chunk_index$$,
  'chunk_text: chunk_index counts from 0 in the order of the text');
select is_empty(
  $$select format, size, overlap, lost
      from (select *, substr(document, reached + 1, greatest(start_char - reached, 0)) as lost
              from (select *, coalesce(max(end_char) over (partition by format, size, overlap order by chunk_index
                                                            rows between unbounded preceding and 1 preceding), 0) as reached from cuts) c) c
     where btrim(lost, E' \t\r\n') <> ''$$,
  'chunk_text loses only white space between chunks');
select is_empty(
  $$select format, size from cuts group by format, size, document having btrim(substr(document, max(end_char) + 1), E' \t\r\n') <> ''$$,
  'chunk_text loses only white space at the end');
select is_empty(
  $$select c.format, c.size from cuts c join cuts d using (format, size, overlap) where overlap = 0 and d.chunk_index = c.chunk_index + 1 and d.start_char < c.end_char$$,
  'chunk_text(overlap_tokens => 0) returns chunks that do not overlap');
select isnt_empty(
  $$select from cuts c join cuts d using (format, size, overlap) where overlap = 5 and d.chunk_index = c.chunk_index + 1 and d.start_char < c.end_char$$,
  'chunk_text(overlap_tokens => 5) returns chunks that overlap');
select is_empty($$select * from cuts where format not in ('markdown', 'html', 'csv') and metadata <> '{}'$$,
                'chunk_text returns metadata for markdown, html and csv alone');
select results_eq(
  $$select content, metadata -> 'headings' from matrice.chunk_text((select content from documents where format = 'markdown'), 14, 0, 'markdown')
     where content ~ 'Before|Introduction|restart|one|every|Nothing' order by chunk_index$$,
  $$values ('Before all headings.', null::jsonb),
           (E'# Guide\n\nIntroduction to it.', '["Guide"]'),
           (E'## Install\n\nRun the installer, then *restart*.', '["Guide", "Install"]'),
           (E'### Linux\n\n- one\n- two', '["Guide", "Install", "Linux"]'),
           (E'## Use\n\nUse it every day, and never at night.', '["Guide", "Use"]'),
           (E'# Annex\n\nNothing.', '["Annex"]')$$,
  'chunk_text: metadata.headings is the full path of headings');
-- As GitHub shows them.
select is(
  (select coalesce(metadata -> 'headings', '[]')
   from matrice.chunk_text(markdown || E'\n\n' || repeat('text ', 60), 32, 0, 'markdown') order by chunk_index desc limit 1),
  headings, 'chunk_text, headings of markdown: ' || what)
  from (values
    ('a byte order mark before a title', E'\ufeff# Title', '["Title"]'::jsonb),
    ('a byte order mark before an underlined title', E'\ufeffTitle\n===', '["Title"]'),
    ('a byte order mark before front matter', E'\ufeff---\ntitle: x\n---\n\n# Title', '["Title"]'),
    ('a byte order mark before a fence', E'\ufeff```\n# code\n```', '[]'),
    ('a heading behind a footnote definition', E'# A\n\n[^1]: a note\n# B', '["B"]'),
    ('no heading inside a footnote', E'# A\n\n[^1]: a note\n\n    # B', '["A"]'),
    ('double brackets that are text', '# Using x[[1]]', '["Using x[[1]]"]'),
    ('an indented heading behind a term', E'# A\n\nterm\n: definition\n\n  ## B', '["A", "B"]'),
    ('a reference to a footnote in a heading', E'# A[^1]\n\n[^1]: x', '["A"]')
  ) as cases (what, markdown, headings);
select is(content, E'\ufeff# Title\n\ntext', 'chunk_text keeps a byte order mark in the first chunk')
  from matrice.chunk_text(E'\ufeff# Title\n\ntext', format => 'markdown');
select results_eq(
  $$select content, metadata from matrice.chunk_text((select content from documents where format = 'csv'), 20, 0, 'csv')$$,
  $$values (E'id;name;note\r\n1;Ann;"two\r\nlines"', '{}'::jsonb),
           (E'2;Bob;"a; b"\r\n3;"Eve ""E""";', '{"header": "id;name;note"}')$$,
  'chunk_text of csv cuts between records; metadata.header is the first record');
select results_eq(
  $$select content, metadata from matrice.chunk_text((select content from documents where format = 'html'), 40, 0, 'html')$$,
  $$values (E'<!DOCTYPE html>\n<title>Guide</title>\n<h1>Guide</h1>\n<p>Introduction to it &amp; more.</p>', '{"headings": ["Guide"]}'::jsonb),
           (E'<h2>Install <i>it</i></h2>\n<table><tr><th>Name</th></tr>\n<tr><td>make</td></tr>', '{"headings": ["Guide", "Install it"]}'),
           (E'<tr><td>make install</td></tr></table>\n<pre>\n  make\n</pre>',
            '{"headings": ["Guide", "Install it"], "header": "<tr><th>Name</th></tr>"}')$$,
  'chunk_text of html cuts before headings and rows');
select results_eq(
  $$select content, metadata from matrice.chunk_text(E'| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |\n| 5 | 6 |', 20, 0, 'markdown')$$,
  $$values (E'| a | b |\n|---|---|\n| 1 | 2 |', '{}'::jsonb), (E'| 3 | 4 |\n| 5 | 6 |', '{"header": "| a | b |"}')$$,
  'chunk_text of markdown: metadata.header is the header row of the table');
select results_eq(
  $$select content from matrice.chunk_text((select content from documents where format = 'rust'), 26, 0, 'rust')$$,
  $$values (E'fn one() -> u32 {\n    1\n}'), (E'fn four() -> u32 {\n    let two = 2;\n    two * two\n}')$$,
  'chunk_text of rust cuts between functions');
select results_eq(
  $$select chunk_index, content, start_char, end_char from matrice.chunk_text('  One small text. ')$$,
  $$values (0, 'One small text.', 2, 17)$$,
  'chunk_text of a short text returns one chunk without white space around it');
select results_eq(
  $$select token_count from matrice.chunk_text('お誕生日おめでとう', model => 'gpt-4o')$$, $$values (8)$$,
  'chunk_text counts in the tokens of model');
select is_empty($$select matrice.chunk_text('')$$, 'chunk_text of an empty text: no rows');
select is_empty($$select matrice.chunk_text(E' \n\t ')$$, 'chunk_text of white space: no rows');
select is_empty($$select matrice.chunk_text(null)$$, 'chunk_text of null: no rows');

select tests.refuses($$select matrice.chunk_text('x', format => 'docx')$$, '22023', 'chunk_text refuses format docx and lists the formats',
                     hint => '%markdown%rust%');
select tests.refuses($$select matrice.chunk_text('x', format => '')$$, '22023', 'chunk_text refuses an empty format', hint => '%text%');
select tests.refuses($$select matrice.chunk_text('x', model => 'no-such')$$, '22023', 'chunk_text refuses model no-such', hint => '%cl100k_base%');
select tests.refuses($$select matrice.chunk_text('x', 0, 0)$$, '22023', 'chunk_text refuses max_tokens 0');
select tests.refuses($$select matrice.chunk_text('x', -5)$$, '22023', 'chunk_text refuses max_tokens -5');
select tests.refuses($$select matrice.chunk_text('x', 64, 33)$$, '22023', 'H6: chunk_text refuses overlap_tokens 33 for max_tokens 64',
                     hint => '%at most 32,%');
select tests.refuses($$select matrice.chunk_text('x', 8000, 7999)$$, '22023', 'H6: chunk_text refuses overlap_tokens 7999 for max_tokens 8000',
                     hint => '%at most 4000,%');
select tests.refuses($$select matrice.chunk_text('x', 10, 2147483647)$$, '22023', 'H6: chunk_text refuses overlap_tokens 2147483647', hint => '%at most 5,%');
select results_eq(
  $$select size, chunk.* from documents, unnest(array[1, 2, 10, 50, 127]) size, matrice.chunk_text(repeat('word ', 200), size) chunk where format = 'text'$$,
  $$select size, chunk.* from documents, unnest(array[1, 2, 10, 50, 127]) size, matrice.chunk_text(repeat('word ', 200), size, size / 2) chunk where format = 'text'$$,
  'chunk_text with max_tokens below 128 by default overlaps by half');
select is(max(chunk.token_count), 50, 'chunk_text(max_tokens => 50) returns chunks of up to 50 tokens') from matrice.chunk_text(repeat('word ', 200), 50) chunk;
select tests.refuses(format('select * from matrice.chunk_text(%L, %s => null)', content, argument), '22004',
                     format('chunk_text refuses %s null', argument), hint => '%default%', message => argument || ' must not be null')
  from unnest(array['max_tokens', 'overlap_tokens', 'format', 'model']) argument, unnest(array['x', null]) content;
select is_empty($$select matrice.chunk_text(null, 10, 5, 'markdown', 'gpt-4o')$$, 'chunk_text of null with all arguments: no rows');
select results_eq(
  $$select provolatile, proparallel, proisstrict from pg_proc where oid = 'matrice.chunk_text'::regproc$$,
  $$values ('i'::"char", 's'::"char", false)$$, 'chunk_text is immutable and parallel safe');
select tests.refuses($$select matrice.chunk_text('x', 10, -1)$$, '22023', 'chunk_text refuses overlap_tokens -1');
select tests.refuses($$select matrice.chunk_text('𓀀', 1, 0)$$, '22023', 'chunk_text refuses a character that is larger than max_tokens', '%', '%');
select results_eq($$select content from matrice.chunk_text('x', 2147483647, 0)$$, $$values ('x')$$, 'chunk_text takes max_tokens 2147483647');

select is_empty(
  $$select format, opening from documents, unnest(array['(', '[', '{', '<a>', '> ', '- ', '#', '*a_', '"', '`']) opening,
           lateral (select sum(length(c.content)) as length from matrice.chunk_text(repeat(opening, 1000), 512, 0, format) c) cut
     where cut.length is null$$,
  'chunk_text cuts text of a thousand openings in every format');

select tests.as_owner();
select is(matrice._norm('[3,4]'::vector, 2), 5.0::double precision, '_norm returns the Euclidean norm');
select is(matrice._norm('[3,4]'::vector, dimensions), null, format('_norm with dimensions %s of a vector of two: null', dimensions))
  from unnest(array[1, 3, 0, -1]) dimensions;
select is(matrice._norm(value, 1), null, format('_norm of the text %s, which is no vector: null', value)) from unnest(array['[3]', '']) value;

select tests.as_anon();
select tests.refuses($$select matrice.count_tokens('x')$$, '42501', 'count_tokens refuses anon');

select * from finish();
rollback;
