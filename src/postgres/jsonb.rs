//! The type jsonb, as an argument of the engine's functions.

use pgrx::callconv::{Arg, ArgAbi};
use pgrx::pgrx_sql_entity_graph::metadata::{
    ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin,
};

/// The bytes of a jsonb value after its length. (pgrx writes the value out as text, and parses it again.)
pub(crate) struct Jsonb<'a>(pub(crate) &'a [u8]);

// SAFETY: Postgres keeps a jsonb value as it keeps bytes: a length, and what follows.
unsafe impl SqlTranslatable for Jsonb<'_> {
    const TYPE_IDENT: &'static str = "Jsonb";
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Ok(SqlMappingRef::literal("jsonb"));
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> = Ok(ReturnsRef::One(SqlMappingRef::literal("jsonb")));
}

// SAFETY: bytes have the same form, and are read as such, whole and not compressed.
unsafe impl<'fcx> ArgAbi<'fcx> for Jsonb<'fcx> {
    unsafe fn unbox_arg_unchecked(arg: Arg<'_, 'fcx>) -> Self {
        // SAFETY: the caller says that it is a jsonb value.
        Jsonb(unsafe { arg.unbox_arg_using_from_datum() }.unwrap_or_default())
    }
}
