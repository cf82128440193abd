//! Counts the memory of tree-sitter, whose tree of a text of semicolons takes four hundred bytes per byte.

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
    /// Bytes that are allocated now.
    static HELD_BYTES: Cell<usize> = const { Cell::new(0) };
    /// Blocks that were ever allocated.
    static TAKEN_BLOCKS: Cell<usize> = const { Cell::new(0) };
    /// The addresses of the nodes of the parser's stack.
    static STACK_NODES: RefCell<HashSet<usize>> = RefCell::default();
}

/// The size that tree-sitter allocates for a node of its stack, and for nothing else: `sizeof(StackNode)`.
const STACK_NODE_BYTES: usize = 232;

/// Counts tree-sitter's memory from now on.
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
    HELD_BYTES.get()
}

/// How many blocks tree-sitter has ever allocated for this thread: most of its work on a text that is not code.
pub(super) fn taken_blocks() -> usize {
    TAKEN_BLOCKS.get()
}

/// How many nodes the parser's stack has.
pub(super) fn stack_nodes() -> usize {
    STACK_NODES.with_borrow(HashSet::len)
}

unsafe extern "C" fn malloc(size: usize) -> *mut c_void {
    // SAFETY: libc's contract is the caller's.
    let block = unsafe { taken(libc::malloc(size), size) };
    if size == STACK_NODE_BYTES {
        STACK_NODES.with_borrow_mut(|nodes| nodes.insert(block.addr()));
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
    HELD_BYTES.set(HELD_BYTES.get().wrapping_add(unsafe { size_of_block(block) }));
    TAKEN_BLOCKS.set(TAKEN_BLOCKS.get().wrapping_add(1));
    block
}

/// # Safety
/// As for [`taken`].
unsafe fn given_back(block: *mut c_void) {
    // SAFETY: by the caller. The size of null is 0.
    let size = unsafe { size_of_block(block) };
    HELD_BYTES.set(HELD_BYTES.get().wrapping_sub(size));
    // A block may be a little larger than requested.
    if (STACK_NODE_BYTES..2 * STACK_NODE_BYTES).contains(&size) {
        STACK_NODES.with_borrow_mut(|nodes| nodes.remove(&block.addr()));
    }
}
