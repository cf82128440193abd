#![no_main]

use matrice_core::Interrupt;
use matrice_core::analyze::Analyzer;
use matrice_core::highlight::highlight;
use matrice_core::word_index::rank::{Collection, rank};
use matrice_core::word_index::segment::{Deletions, Stored, build, live_texts, merge};
use matrice_core::word_query::{Mode, Query};
use std::collections::HashSet;

// Data: the lengths of two texts of segments, of two blocks and of a list of deletions; these; a query. Whatever the bytes are,
// there is a result or an error. What a merge returns can be read.
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((lengths, mut rest)) = data.split_first_chunk::<5>() else {
        return;
    };
    let [first, second, block, other, list] = lengths.map(|length| {
        let (part, after) = rest.split_at(rest.len().min(length.into()));
        rest = after;
        part
    });
    let text = String::from_utf8_lossy(rest);
    let mut analyzer = Analyzer::new("english", |word: &str| {
        (word.len() != 3).then(|| word.replace('s', ""))
    });
    let query = Query::read(&text, Mode::Any, &mut analyzer, Interrupt::NEVER);
    let _ = query.check();
    highlight(&text, &query, &mut analyzer, 2, true, Interrupt::NEVER);

    let deletions = || Deletions::new([list]);
    let segments = vec![(first, vec![block, other]), (second, vec![other])];
    let (Ok(gone), Ok(gone_too)) = (deletions(), deletions()) else {
        return;
    };
    let _ = rank(
        &[Collection {
            query: &query,
            segments,
        }],
        gone,
        None,
        &HashSet::new(),
        3,
        Interrupt::NEVER,
    );
    let _ = live_texts([first, second], gone_too, 3);
    let _ = build([([0; 16], block), ([1; 16], other)], Interrupt::NEVER);

    let stored = [
        Stored {
            texts: first,
            blocks: vec![block],
        },
        Stored {
            texts: second,
            blocks: vec![other],
        },
    ];
    let Ok(gone) = deletions() else { return };
    if let Ok((built, list)) = merge(&stored, gone, Interrupt::NEVER) {
        let segments = vec![(
            &built.texts[..],
            built.blocks.iter().map(|(_, block)| &block[..]).collect(),
        )];
        let collection = Collection {
            query: &query,
            segments,
        };
        let gone = Deletions::new([&list[..]]).unwrap_or_default();
        let ranking = rank(&[collection], gone, None, &HashSet::new(), 3, Interrupt::NEVER);
        assert!(ranking.is_ok(), "a merge that succeeds gives a segment");
    }
});
