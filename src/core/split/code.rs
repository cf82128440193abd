//! Code is cut by its syntax tree: the nearer a node is to the root, the higher its level.

use super::marks::{Edge, LEVELS, Level, Mark, Marks};
use crate::core::{Error, Interrupt};
use std::ops::ControlFlow;
use tree_sitter::{Language, ParseOptions, ParseState, Parser, Tree};

/// Nodes deeper than [`LEVELS`] are left out: their text is cut as any text.
pub(in crate::core) fn marks(text: &str, grammar: &Language, interrupt: Interrupt) -> Result<Marks, Error> {
    let tree = parse(text, grammar, interrupt)?;
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

/// Asked to stop, the parser breaks off before Postgres unwinds: its frames are C.
fn parse(text: &str, grammar: &Language, interrupt: Interrupt) -> Result<Tree, Error> {
    let mut parser = Parser::new();
    parser
        .set_language(grammar)
        // A grammar too old for the linked tree-sitter: a test keeps this from shipping.
        .map_err(|error| Error::UnknownFormat(error.to_string()))?;
    let mut stop = |_: &ParseState| match (interrupt.pending)() {
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
        if let Some(tree) = tree {
            return Ok(tree);
        }
        // Where this returns, the next round goes on from here.
        interrupt.check();
    }
}
