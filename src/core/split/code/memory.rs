//! Counts what tree-sitter holds: of a text of semicolons it makes a tree of four hundred bytes a byte.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::ffi::c_void;
use std::sync::Once;
use tree_sitter::{Allocator, set_allocator};

#[cfg(target_os = "macos")]
use libc::malloc_size as size_of_block;
#[cfg(not(target_os = "macos"))]
use libc::malloc_usable_size as size_of_block;

thread_local! {
    /// In bytes.
    static HELD: Cell<usize> = const { Cell::new(0) };
    /// Blocks, given back or not.
    static TAKEN: Cell<usize> = const { Cell::new(0) };
    /// Where the nodes of the parser's stack are.
    static NODES: RefCell<HashSet<usize>> = RefCell::default();
}

/// What tree-sitter asks for when it needs a node of its stack, and only then: `sizeof(StackNode)`.
const NODE: usize = 232;

/// Has tree-sitter's memory counted from now on.
pub(super) fn count() {
    static COUNT: Once = Once::new();
    // SAFETY: set once, before the first parser is made. The functions are libc's own, so that even a block of before
    // would be freed by its allocator.
    COUNT.call_once(|| unsafe {
        set_allocator(Some(Allocator {
            malloc,
            calloc,
            realloc,
            free,
        }));
    });
}

/// How many bytes tree-sitter holds for this thread.
pub(super) fn held() -> usize {
    HELD.get()
}

/// How many blocks tree-sitter has taken for this thread, since ever: its work, where text is no code, goes into them.
pub(super) fn taken_blocks() -> usize {
    TAKEN.get()
}

/// How many nodes the parser's stack has.
pub(super) fn stack_nodes() -> usize {
    NODES.with_borrow(HashSet::len)
}

unsafe extern "C" fn malloc(size: usize) -> *mut c_void {
    // SAFETY: libc's contract is the caller's.
    let block = unsafe { taken(libc::malloc(size), size) };
    if size == NODE {
        NODES.with_borrow_mut(|nodes| nodes.insert(block.addr()));
    }
    block
}

unsafe extern "C" fn calloc(count: usize, size: usize) -> *mut c_void {
    // SAFETY: as above.
    unsafe { taken(libc::calloc(count, size), size) }
}

unsafe extern "C" fn realloc(block: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: as above.
    unsafe {
        given_back(block);
        taken(libc::realloc(block, size), size)
    }
}

unsafe extern "C" fn free(block: *mut c_void) {
    // SAFETY: as above.
    unsafe {
        given_back(block);
        libc::free(block);
    }
}

/// # Safety
/// `block` is libc's, or null.
unsafe fn taken(block: *mut c_void, size: usize) -> *mut c_void {
    if block.is_null() && size > 0 {
        // What tree-sitter's own allocator does. It could not go on.
        std::process::abort();
    }
    // SAFETY: by the caller.
    HELD.set(HELD.get().wrapping_add(unsafe { size_of_block(block) }));
    TAKEN.set(TAKEN.get().wrapping_add(1));
    block
}

/// # Safety
/// As for [`taken`].
unsafe fn given_back(block: *mut c_void) {
    // SAFETY: by the caller. The size of null is 0.
    let size = unsafe { size_of_block(block) };
    HELD.set(HELD.get().wrapping_sub(size));
    // A block may be a little larger than was asked for.
    if (NODE..2 * NODE).contains(&size) {
        NODES.with_borrow_mut(|nodes| nodes.remove(&block.addr()));
    }
}
