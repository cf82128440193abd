//! The words of texts and queries, and the index of them. Only `analyze_text` is part of the API. The underscore says that the
//! schema's own functions call the others.

use crate::postgres::INTERRUPT;
use crate::postgres::error::{error, of_core};
use crate::postgres::stemmer::with_analyzer;
use crate::postgres::text_vector::TextVector;
use matrice_core::Error;
use matrice_core::analyze::{Form, Kind, Word};
use matrice_core::highlight::highlight;
use matrice_core::quote::find_quote;
use matrice_core::sentences::whole_sentences;
use matrice_core::statement::{likeness, normal_text, sketch};
use matrice_core::word_index::Id;
use matrice_core::word_index::rank::{Collection, Ranked, Ranking, rank};
use matrice_core::word_index::segment::{
    Built, Deletions, Stored, Version, build, deletions, fingerprint, live_texts, merge,
};
use matrice_core::word_query::{Mode, Query};
use matrice_core::word_vector::{analysis, text_vector};
use pgrx::datum::{Array, Uuid};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use std::collections::HashSet;

#[pg_extern(stable, parallel_safe)]
#[search_path(pg_catalog, pg_temp)]
fn analyze_text(
    content: Option<&str>,
    language: default!(Option<&str>, "'simple'"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(word, String),
            name!(position, i32),
            name!(kind, &'static str),
        ),
    >,
    ErrorReport,
> {
    let language = language.ok_or(Error::Null("language")).map_err(of_core)?;
    let mut rows = Vec::new();
    with_analyzer(language, |analyzer| {
        analyzer.each(content.unwrap_or_default(), INTERRUPT, |word| {
            for lexeme in word.lexemes() {
                rows.push((
                    lexeme.text.to_owned(),
                    word.position as i32,
                    kind(&word, lexeme.form),
                ));
            }
        });
    })?;
    Ok(TableIterator::new(rows))
}

fn kind(word: &Word, form: Form) -> &'static str {
    match (word.kind, form) {
        (Kind::Bigram, _) => "bigram",
        (Kind::Compound, _) => "compound",
        (Kind::Word, Form::Stem) => "stem",
        (Kind::Word, _) if word.is_stop => "stop word",
        (Kind::Word, _) => "word",
    }
}

#[pg_extern(stable, strict, parallel_safe)]
#[search_path(pg_catalog, pg_temp)]
fn _text_vector(content: &str, language: &str) -> Result<TextVector<Vec<u8>>, ErrorReport> {
    with_analyzer(language, |analyzer| {
        TextVector(text_vector(content, language, analyzer, INTERRUPT))
    })
}

/// How texts of a language are analysed now.
#[pg_extern(immutable, strict, parallel_safe)]
fn _analysis(language: &str) -> String {
    analysis(language)
}

type Blocks = (Vec<String>, Vec<Vec<u8>>);

fn blocks(built: Built) -> Blocks {
    let word = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    built
        .blocks
        .into_iter()
        .map(|(first, block)| (word(first), block))
        .unzip()
}

fn versions<'a>(
    ids: &'a Array<Uuid>,
    vectors: &'a Array<TextVector<&[u8]>>,
) -> impl Iterator<Item = ([u8; 16], &'a [u8])> {
    ids.iter()
        .zip(vectors.iter())
        .filter_map(|(id, vector)| Some((*id?.as_bytes(), vector?.0)))
}

#[pg_extern(immutable, strict, parallel_safe)]
#[allow(clippy::type_complexity)]
fn _index_words(
    ids: Array<Uuid>,
    vectors: Array<TextVector<&[u8]>>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(analysis, String),
            name!(texts, Vec<u8>),
            name!(text_count, i32),
            name!(first_words, Vec<String>),
            name!(blocks, Vec<Vec<u8>>),
        ),
    >,
    ErrorReport,
> {
    let segments = build(versions(&ids, &vectors), INTERRUPT).map_err(of_core)?;
    Ok(TableIterator::new(segments.into_iter().map(
        |(analysis, mut built)| {
            let count = built.count();
            let texts = std::mem::take(&mut built.texts);
            let (first_words, blocks) = blocks(built);
            (analysis, texts, count as i32, first_words, blocks)
        },
    )))
}

#[pg_extern(immutable, strict, parallel_safe)]
fn _deletion(id: Uuid, vector: TextVector<&[u8]>) -> Vec<u8> {
    deletions([Version {
        id: *id.as_bytes(),
        fingerprint: fingerprint(vector.0),
    }])
}

/// The blocks of each segment.
fn by_segment<'a>(segments: usize, of: &Array<i32>, blocks: &'a Array<&[u8]>) -> Vec<Vec<&'a [u8]>> {
    let mut all = vec![Vec::new(); segments];
    for (segment, block) in of.iter().flatten().zip(blocks.iter().flatten()) {
        if let Some(blocks) = usize::try_from(segment - 1)
            .ok()
            .and_then(|segment| all.get_mut(segment))
        {
            blocks.push(block);
        }
    }
    all
}

#[pg_extern(immutable, strict, parallel_safe)]
#[allow(clippy::type_complexity)]
fn _merge_words(
    texts: Array<&[u8]>,
    segments: Array<i32>,
    blocks: Array<&[u8]>,
    deletions: Array<&[u8]>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(texts, Vec<u8>),
            name!(text_count, i32),
            name!(first_words, Vec<String>),
            name!(blocks, Vec<Vec<u8>>),
            name!(deletions, Vec<u8>),
        ),
    >,
    ErrorReport,
> {
    let stored = by_segment(texts.len(), &segments, &blocks);
    let stored: Vec<Stored> = texts
        .iter()
        .flatten()
        .zip(stored)
        .map(|(texts, blocks)| Stored { texts, blocks })
        .collect();
    let deletions = Deletions::new(deletions.iter().flatten()).map_err(of_core)?;
    let (mut built, deletions) = merge(&stored, deletions, INTERRUPT).map_err(of_core)?;
    let count = built.count() as i32;
    let texts = std::mem::take(&mut built.texts);
    let (first_words, blocks) = self::blocks(built);
    Ok(TableIterator::once((
        texts,
        count,
        first_words,
        blocks,
        deletions,
    )))
}

fn mode(words: &str) -> Result<Mode, ErrorReport> {
    match words {
        "any" => Ok(Mode::Any),
        "all" => Ok(Mode::All),
        _ => Err(error(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            format!(
                "unknown words: \"{}\"",
                words.chars().take(100).collect::<String>()
            ),
            None,
            Some("Use any or all.".into()),
        )),
    }
}

/// Reads a query for texts that were analysed in this way.
fn query(query_text: &str, words: &str, analysis: &str) -> Result<Query, ErrorReport> {
    let mode = mode(words)?;
    let language = analysis
        .split_once(' ')
        .map_or(analysis, |(language, _)| language);
    with_analyzer(language, |analyzer| {
        Query::read(query_text, mode, analyzer, INTERRUPT)
    })
}

#[pg_extern(stable, strict, parallel_safe)]
#[search_path(pg_catalog, pg_temp)]
#[allow(clippy::type_complexity)]
fn _query_words(
    query_text: &str,
    words: &str,
    analysis: &str,
) -> Result<TableIterator<'static, (name!(word, String), name!(is_prefix, bool))>, ErrorReport> {
    let query = query(query_text, words, analysis)?;
    let words: HashSet<(String, bool)> = query
        .words()
        .map(|word| (word.to_owned(), false))
        .chain(query.prefixes().map(|prefix| (prefix.to_owned(), true)))
        .collect();
    Ok(TableIterator::new(words))
}

#[pg_extern(stable, parallel_safe)]
#[search_path(pg_catalog, pg_temp)]
#[allow(clippy::type_complexity, clippy::too_many_arguments)]
fn _rank_words(
    query_text: &str,
    words: &str,
    analyses: Vec<String>,
    texts: Array<&[u8]>,
    segments: Array<i32>,
    blocks: Array<&[u8]>,
    deletions: Array<&[u8]>,
    among: Option<Vec<Option<Uuid>>>,
    also: Option<Vec<Option<Uuid>>>,
    match_count: i32,
) -> Result<
    TableIterator<
        'static,
        (
            name!(id, Option<Uuid>),
            name!(analysis, String),
            name!(score, Option<f64>),
            name!(mean, f64),
            name!(deviation, f64),
            name!(matched, Vec<String>),
            name!(phrases, Option<String>),
        ),
    >,
    ErrorReport,
> {
    // Texts that were analysed alike are a collection.
    let mut kinds: Vec<&str> = analyses.iter().map(String::as_str).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let queries: Result<Vec<Query>, _> = kinds
        .iter()
        .map(|analysis| query(query_text, words, analysis))
        .collect();
    let queries = queries?;
    let mut all: Vec<Collection> = queries
        .iter()
        .map(|query| Collection {
            query,
            segments: Vec::new(),
        })
        .collect();
    let blocks = by_segment(texts.len(), &segments, &blocks);
    for ((analysis, texts), blocks) in analyses.iter().zip(texts.iter().flatten()).zip(blocks) {
        if let Ok(collection) = kinds.binary_search(&analysis.as_str()) {
            all[collection].segments.push((texts, blocks));
        }
    }
    let deletions = Deletions::new(deletions.iter().flatten()).map_err(of_core)?;
    let set =
        |ids: Vec<Option<Uuid>>| -> HashSet<Id> { ids.iter().flatten().map(|id| *id.as_bytes()).collect() };
    let (among, also) = (among.map(set), also.map(set).unwrap_or_default());
    let count = usize::try_from(match_count).unwrap_or(0);
    let Ranking { best, spread } =
        rank(&all, deletions, among.as_ref(), &also, count, INTERRUPT).map_err(of_core)?;
    let row = |text: Ranked| {
        let (mean, deviation) = spread[text.collection];
        (
            Some(Uuid::from_bytes(text.id)),
            kinds[text.collection].to_owned(),
            Some(text.score),
            mean,
            deviation,
            queries[text.collection].shown(&text.terms),
            None,
        )
    };
    let without_text =
        kinds
            .iter()
            .zip(&spread)
            .zip(&queries)
            .map(|((analysis, &(mean, deviation)), query)| {
                (
                    None,
                    (*analysis).to_owned(),
                    None,
                    mean,
                    deviation,
                    Vec::new(),
                    query.check(),
                )
            });
    Ok(TableIterator::new(
        best.into_iter().map(row).chain(without_text).collect::<Vec<_>>(),
    ))
}

/// The chunks of segments that are not deleted.
#[pg_extern(immutable, strict, parallel_safe)]
fn _live_texts(texts: Array<&[u8]>, deletions: Array<&[u8]>, most: i32) -> Result<Vec<Uuid>, ErrorReport> {
    let deletions = Deletions::new(deletions.iter().flatten()).map_err(of_core)?;
    let most = usize::try_from(most).unwrap_or(0);
    let live = live_texts(texts.iter().flatten(), deletions, most).map_err(of_core)?;
    Ok(live.into_iter().map(Uuid::from_bytes).collect())
}

#[pg_extern(stable, strict, parallel_safe)]
#[search_path(pg_catalog, pg_temp)]
fn _highlight(
    content: &str,
    query_text: &str,
    language: &str,
    fragments: i32,
    html: bool,
) -> Result<String, ErrorReport> {
    let fragments = usize::try_from(fragments).unwrap_or(0);
    with_analyzer(language, |analyzer| {
        let query = Query::read(query_text, Mode::Any, analyzer, INTERRUPT);
        highlight(content, &query, analyzer, fragments, html, INTERRUPT)
    })
}

#[pg_extern(immutable, strict, parallel_safe)]
fn _whole_sentences(content: &str, most_chars: i32) -> &str {
    whole_sentences(content, usize::try_from(most_chars).unwrap_or(0))
}

#[pg_extern(immutable, strict, parallel_safe)]
fn _find_quote(
    contents: Array<&str>,
    starts: Array<i32>,
    quote: &str,
    most: i32,
) -> Result<TableIterator<'static, (name!(start_char, i32), name!(end_char, i32))>, ErrorReport> {
    let pieces = starts
        .iter()
        .zip(contents.iter())
        .filter_map(|(start, content)| Some((usize::try_from(start?).ok()?, content?)));
    let most = usize::try_from(most).unwrap_or(0);
    let places = find_quote(pieces, quote, most, INTERRUPT).map_err(of_core)?;
    Ok(TableIterator::new(
        places
            .into_iter()
            .map(|place| (place.start as i32, place.end as i32)),
    ))
}

#[pg_extern(immutable, strict, parallel_safe)]
fn _normal_text(content: &str) -> String {
    normal_text(content, INTERRUPT)
}

#[pg_extern(immutable, strict, parallel_safe)]
fn _likeness(one: TextVector<&[u8]>, other: TextVector<&[u8]>) -> Result<f64, ErrorReport> {
    likeness(one.0, other.0).map_err(of_core)
}

/// The codes of two projects differ, so that an index on them finds texts of one project.
#[pg_extern(immutable, strict, parallel_safe)]
fn _sketch(words: TextVector<&[u8]>, project_id: Uuid) -> Result<Vec<i32>, ErrorReport> {
    let id = u128::from_be_bytes(*project_id.as_bytes());
    sketch(words.0, (id >> 64) as u64 ^ (id as u64).rotate_left(32)).map_err(of_core)
}
