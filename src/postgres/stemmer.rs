//! Stems words with Postgres's own dictionaries.

use super::error::error;
use matrice_core::analyze::{Analyzer, Stemmer};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::{direct_function_call, pg_sys};
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;

/// The numbers of Postgres's token types `asciiword` and `word`.
const ASCII_WORD: i32 = 1;
const WORD: i32 = 2;

/// The dictionaries of a text search configuration.
pub(crate) struct Dictionaries {
    ascii: Vec<pg_sys::Oid>,
    other: Vec<pg_sys::Oid>,
}

impl Stemmer for Dictionaries {
    fn stem<'a>(&'a mut self, word: &'a str) -> Option<Cow<'a, str>> {
        let dictionaries = if word.is_ascii() { &self.ascii } else { &self.other };
        for dictionary in dictionaries {
            // Null: the dictionary does not know the word, and the next one is asked.
            let arguments = [dictionary.into_datum(), word.into_datum()];
            // SAFETY: the arguments are what ts_lexize takes: a dictionary and a text.
            let lexemes: Option<Vec<String>> = unsafe { direct_function_call(pg_sys::ts_lexize, &arguments) };
            if let Some(lexemes) = lexemes {
                return lexemes.into_iter().next().map(Cow::Owned);
            }
        }
        Some(Cow::Borrowed(word))
    }
}

thread_local! {
    /// The analysers of this session, by the names of their configurations.
    static ANALYZERS: RefCell<HashMap<String, Analyzer<Dictionaries>>> = RefCell::default();
}

/// Calls `work` with the analyser for a configuration of `pg_catalog`, such as `english`.
///
/// # Errors
/// `22023` if there is no such configuration.
pub(crate) fn with_analyzer<T>(
    language: &str,
    work: impl FnOnce(&mut Analyzer<Dictionaries>) -> T,
) -> Result<T, ErrorReport> {
    // Taken out meanwhile: an error of Postgres may leave `work` at any place, and then the analyser is made anew.
    let known = ANALYZERS.with_borrow_mut(|analyzers| analyzers.remove(language));
    let mut analyzer = match known {
        Some(analyzer) => analyzer,
        None => Analyzer::new(language, dictionaries(language)?),
    };
    let result = work(&mut analyzer);
    ANALYZERS.with_borrow_mut(|analyzers| analyzers.insert(language.to_owned(), analyzer));
    Ok(result)
}

fn dictionaries(language: &str) -> Result<Dictionaries, ErrorReport> {
    let of = |token_type: i32| -> Result<Option<Vec<pg_sys::Oid>>, spi::Error> {
        Spi::get_one_with_args(
            "select array(select m.mapdict::pg_catalog.oid from pg_catalog.pg_ts_config_map m
                           where m.mapcfg operator(pg_catalog.=) c.oid and m.maptokentype operator(pg_catalog.=) $2
                           order by m.mapseqno)
               from pg_catalog.pg_ts_config c
              where c.cfgname operator(pg_catalog.=) $1
                and c.cfgnamespace operator(pg_catalog.=) 'pg_catalog'::pg_catalog.regnamespace",
            &[language.into(), token_type.into()],
        )
    };
    // Without a row the call is an error, too.
    match (of(ASCII_WORD), of(WORD)) {
        (Ok(Some(ascii)), Ok(Some(other))) => Ok(Dictionaries { ascii, other }),
        _ => Err(error(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            format!(
                "unknown language: \"{}\"",
                language.chars().take(100).collect::<String>()
            ),
            None,
            Some("Use a text search configuration of pg_catalog, such as english, french or simple.".into()),
        )),
    }
}
