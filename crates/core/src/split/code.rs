//! Code is cut by its syntax tree: the nearer a node is to the root, the higher its level.

mod memory;

use super::boundaries::{Boundaries, Boundary, BoundaryReader, Level, MAX_LEVELS, SplitPosition};
use super::text;
use crate::{Error, Interrupt};
use std::cell::Cell;
use std::ops::ControlFlow;
use tree_sitter::{Language, ParseOptions, ParseState, Parser, Tree};

/// The boundaries of code. Nodes deeper than [`MAX_LEVELS`] are left out, and their text is cut as plain text is. If the
/// tree is too large or takes too much work, all of the text is.
///
/// # Errors
/// [`Error::Grammar`] if the grammar does not load.
pub(crate) fn boundaries<'a>(
    text: &'a str,
    grammar: &Language,
    interrupt: Interrupt,
) -> Result<Boundaries<'a>, Error> {
    Ok(match parse(text, grammar, interrupt)? {
        Some(tree) => {
            let tree = Some(tree);
            Boundaries::new(
                TreeNodes { tree, interrupt },
                |_| SplitPosition::Around,
                interrupt,
            )
        }
        None => text::boundaries(text, interrupt),
    })
}

/// Reads all nodes at once, so that the tree can be dropped.
struct TreeNodes {
    tree: Option<Tree>,
    interrupt: Interrupt,
}

impl BoundaryReader for TreeNodes {
    fn read(&mut self, boundaries: &mut Vec<Boundary>) -> Option<usize> {
        let tree = self.tree.take()?;
        let mut cursor = tree.walk();
        let mut depth = 0;
        loop {
            self.interrupt.check();
            if cursor.goto_first_child() {
                depth += 1;
            } else {
                while !cursor.goto_next_sibling() {
                    if !cursor.goto_parent() {
                        return None;
                    }
                    depth -= 1;
                }
            }
            // The root is the whole text.
            if depth > 0 && depth <= MAX_LEVELS {
                let node = cursor.node();
                boundaries.push(Boundary::new(
                    Level::of(MAX_LEVELS - depth),
                    node.start_byte(),
                    node.end_byte(),
                ));
            }
        }
    }
}

/// The most bytes that the tree of a text may take. Trees of real code take 14 to 44 bytes per byte, of the densest 90.
fn memory_for(text: &str) -> usize {
    const SMALL: usize = 16 << 20;
    const LARGE: usize = 256 << 20;
    text.len().saturating_mul(128).saturating_add(SMALL).min(LARGE)
}

/// The most blocks of memory that may be allocated for a tree. Allocations are most of the parser's work: one costs about a
/// microsecond. Real code takes up to 1.3 per byte. Prose, or code of another language, takes up to tens, and hundreds
/// where the parser goes round in circles: a large text that is not code is cut as plain text.
fn blocks_for(text: &str) -> usize {
    text.len().saturating_mul(3).saturating_add(1 << 18)
}

/// The most nodes that the parser's stack may have. The parser frees ambiguous nodes by recursion: 1 MB of `{a:` as
/// JavaScript overflowed the server's stack. Postgres keeps half a megabyte of the stack free, and a call takes about a
/// hundred bytes. Real code has some tens of nodes.
const MAX_STACK_NODES: usize = 4096;

/// The most bytes that the parser is given at once.
const READ_BYTES: usize = 1024;

/// How often the parser may read. It reads each part two or three times, but again and again if it looks far ahead for the
/// end of each token.
fn reads_for(text: &str) -> usize {
    (text.len() / READ_BYTES)
        .saturating_mul(16)
        .saturating_add(1 << 10)
}

/// Parses a text. `None` if the tree is too large or takes too much work. The parser returns before an interrupt unwinds,
/// because its frames are C.
///
/// # Errors
/// [`Error::Grammar`] if the grammar does not load.
pub(super) fn parse(text: &str, grammar: &Language, interrupt: Interrupt) -> Result<Option<Tree>, Error> {
    memory::count();
    let mut parser = Parser::new();
    parser
        .set_language(grammar)
        // A grammar too old for the linked tree-sitter: a test keeps this from shipping.
        .map_err(|error| Error::Grammar(error.to_string()))?;
    loop {
        let (reads, too_much, cut_short) = (Cell::new(0), Cell::new(false), Cell::new(false));
        let before = memory::taken_blocks();
        // Once it is, it remains so, whatever is given back.
        let is_too_much = || {
            let now = memory::held() > memory_for(text)
                || memory::stack_nodes() > MAX_STACK_NODES
                || memory::taken_blocks().wrapping_sub(before) > blocks_for(text)
                || reads.get() > reads_for(text);
            too_much.set(too_much.get() || now);
            too_much.get()
        };
        let mut stop = |_: &ParseState| match is_too_much() || (interrupt.pending)() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        // It asks whether to stop once in a hundred tokens, which may be long.
        let mut read = |at: usize, _| {
            reads.set(reads.get() + 1);
            cut_short.set(cut_short.get() || is_too_much() || (interrupt.pending)());
            match text.as_bytes().get(at..) {
                Some(rest) if !cut_short.get() => &rest[..rest.len().min(READ_BYTES)],
                _ => &[],
            }
        };
        let options = ParseOptions::new().progress_callback(&mut stop);
        let tree = parser.parse_with_options(&mut read, None, Some(options));
        if too_much.get() {
            return Ok(None);
        }
        if tree.is_some() && !cut_short.get() {
            return Ok(tree);
        }
        // Where this returns, the next round goes on from here, or anew if the parser took a part for the end.
        interrupt.check();
        if cut_short.get() {
            parser.reset();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_takes_bounded_memory() {
        let rust = tree_sitter_rust::LANGUAGE.into();
        let parse = |text: &str| parse(text, &rust, Interrupt::NEVER).unwrap();
        let before = memory::held();
        let code = "fn one() { one(1 + 2) }\n".repeat(50_000);
        for text in [&code[..], &";".repeat(10_000), &"(".repeat(1000)] {
            let tree = parse(text).expect("real code, or little of it");
            assert!((1..=memory_for(text)).contains(&(memory::held() - before)));
            drop(tree);
        }
        for dense in [";", "(", "[]"] {
            assert!(parse(&dense.repeat(2_000_000)).is_none(), "{dense}");
        }
        assert_eq!(memory::held(), before, "all is given back");
    }

    /// On a stack that is smaller than the server's.
    #[test]
    fn a_deep_parse_is_given_up_before_the_stack_ends() {
        let parses = || {
            let javascript: Language = tree_sitter_javascript::LANGUAGE.into();
            let typescript = tree_sitter_typescript::LANGUAGE_TYPESCRIPT.into();
            let rust = tree_sitter_rust::LANGUAGE.into();
            let deep = |grammar: &Language, text: &str, times| {
                parse(&text.repeat(times), grammar, Interrupt::NEVER)
                    .unwrap()
                    .is_none()
            };
            for (grammar, text) in [
                (&javascript, "{a:"),
                (&javascript, "{"),
                (&typescript, "{a:"),
                (&rust, "{a:"),
                (&rust, "("),
            ] {
                assert!(deep(grammar, text, 400_000), "{text}");
                // If the stack's nodes are not known any more, they have another size.
                assert_eq!(memory::stack_nodes(), 0);
            }
            assert!(!deep(&rust, "(", MAX_STACK_NODES / 4));
            assert!(deep(&rust, "(", MAX_STACK_NODES + 200), "stack nodes are counted");
        };
        let thread = std::thread::Builder::new().stack_size(1 << 19).spawn(parses);
        thread.unwrap().join().unwrap();
    }

    /// What the parser would take minutes for.
    #[test]
    fn a_tree_takes_bounded_work() {
        let rust: Language = tree_sitter_rust::LANGUAGE.into();
        let python = tree_sitter_python::LANGUAGE.into();
        let go = tree_sitter_go::LANGUAGE.into();
        let javascript = tree_sitter_javascript::LANGUAGE.into();
        let tsx = tree_sitter_typescript::LANGUAGE_TSX.into();
        for (grammar, text) in [
            (&rust, "#!"),
            (&rust, "-->"),
            (&rust, "r#\""),
            (&rust, "a,"),
            (&rust, "\""),
            (&rust, "`a${b}"),
            (&python, "<!--"),
            (&python, "a?b:"),
            (&go, "/* "),
            (&go, "<!--"),
            (&go, "->"),
            (&javascript, "/["),
            (&javascript, "elif a:\n"),
            (&javascript, "!a"),
            (&tsx, "<a/>"),
            (&tsx, "case 1:"),
        ] {
            let before = memory::taken_blocks();
            let text = text.repeat(50_000);
            assert!(
                parse(&text, grammar, Interrupt::NEVER).unwrap().is_none(),
                "{}",
                &text[..9]
            );
            // A block is a microsecond, more or less. It asks once in a hundred steps whether that was too much.
            let blocks = memory::taken_blocks() - before;
            assert!(blocks < 4 * text.len() + (1 << 20), "{}: {blocks}", &text[..9]);
        }
        // This file, as what it is and as what it is not.
        let code = include_str!("code.rs").repeat(10);
        for grammar in [rust, python, go, javascript] {
            assert!(parse(&code, &grammar, Interrupt::NEVER).unwrap().is_some());
        }
    }
}
