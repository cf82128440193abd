//! Code is cut by its syntax tree: the nearer a node is to the root, the higher its level.

mod memory;

use super::marks::{Edge, LEVELS, Level, Mark, Marks};
use super::text;
use crate::core::{Error, Interrupt};
use std::ops::ControlFlow;
use tree_sitter::{Language, ParseOptions, ParseState, Parser, Tree};

/// Nodes deeper than [`LEVELS`] are left out: their text is cut as any text. So is all of it, if its tree is too large.
pub(in crate::core) fn marks(text: &str, grammar: &Language, interrupt: Interrupt) -> Result<Marks, Error> {
    let Some(tree) = parse(text, grammar, interrupt)? else {
        return Ok(text::marks(text, interrupt));
    };
    let mut marks = Vec::new();
    let mut cursor = tree.walk();
    let mut depth = 0;
    loop {
        interrupt.check();
        if cursor.goto_first_child() {
            depth += 1;
        } else {
            while !cursor.goto_next_sibling() {
                if !cursor.goto_parent() {
                    return Ok(Marks::new(marks, |_| Edge::Around, interrupt));
                }
                depth -= 1;
            }
        }
        // The root is the text, and no mark in it.
        if depth > 0 && depth <= LEVELS {
            let node = cursor.node();
            marks.push(Mark::new(
                Level::of(LEVELS - depth),
                node.start_byte(),
                node.end_byte(),
            ));
        }
    }
}

/// How many bytes the tree of a text may take. That of real code takes 14 to 44 bytes a byte, of the densest 90.
fn memory_for(text: &str) -> usize {
    const SMALL: usize = 16 << 20;
    const LARGE: usize = 256 << 20;
    text.len().saturating_mul(128).saturating_add(SMALL).min(LARGE)
}

/// The tree, unless it is too large. Asked to stop, the parser breaks off before Postgres unwinds: its frames are C.
fn parse(text: &str, grammar: &Language, interrupt: Interrupt) -> Result<Option<Tree>, Error> {
    memory::count();
    let mut parser = Parser::new();
    parser
        .set_language(grammar)
        // A grammar too old for the linked tree-sitter: a test keeps this from shipping.
        .map_err(|error| Error::UnknownFormat(error.to_string()))?;
    let is_too_large = || memory::held() > memory_for(text);
    let mut stop = |_: &ParseState| match is_too_large() || (interrupt.pending)() {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    };
    loop {
        let options = ParseOptions::new().progress_callback(&mut stop);
        let tree = parser.parse_with_options(
            &mut |at, _| text.as_bytes().get(at..).unwrap_or_default(),
            None,
            Some(options),
        );
        if tree.is_some() || is_too_large() {
            return Ok(tree);
        }
        // Where this returns, the next round goes on from here.
        interrupt.check();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::NEVER;

    #[test]
    fn a_tree_takes_bounded_memory() {
        let rust = tree_sitter_rust::LANGUAGE.into();
        let parse = |text: &str| parse(text, &rust, NEVER).unwrap();
        let before = memory::held();
        let code = "fn one() { one(1 + 2) }\n".repeat(50_000);
        for text in [&code[..], &";".repeat(10_000), &"(".repeat(10_000)] {
            let tree = parse(text).expect("real code, or little of it");
            assert!((1..=memory_for(text)).contains(&(memory::held() - before)));
            drop(tree);
        }
        for dense in [";", "(", "[]"] {
            assert!(parse(&dense.repeat(2_000_000)).is_none(), "{dense}");
        }
        assert_eq!(memory::held(), before, "all is given back");
    }
}
