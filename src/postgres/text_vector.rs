//! The type tsvector, as the engine's functions take and return it.

use pgrx::callconv::{Arg, ArgAbi, BoxRet, FcInfo};
use pgrx::datum::{Datum, UnboxDatum};
use pgrx::pgrx_sql_entity_graph::metadata::{
    ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin,
};
use pgrx::{IntoDatum, pg_sys, varlena_to_byte_slice};

/// The bytes of a tsvector after its length.
pub(crate) struct TextVector<B>(pub(crate) B);

// SAFETY: Postgres keeps a tsvector as it keeps bytes: a length, and what follows.
unsafe impl<B> SqlTranslatable for TextVector<B> {
    const TYPE_IDENT: &'static str = "TextVector";
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Ok(SqlMappingRef::literal("tsvector"));
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> =
        Ok(ReturnsRef::One(SqlMappingRef::literal("tsvector")));
}

// SAFETY: the bytes are copied to where Postgres expects them. word_vector writes what a tsvector is.
unsafe impl BoxRet for TextVector<Vec<u8>> {
    unsafe fn box_into<'fcx>(self, fcinfo: &mut FcInfo<'fcx>) -> Datum<'fcx> {
        match self.0.into_datum() {
            // SAFETY: the datum is of the function's type.
            Some(datum) => unsafe { fcinfo.return_raw_datum(datum) },
            None => fcinfo.return_null(),
        }
    }
}

// SAFETY: the elements of an array are whole: PostgreSQL puts no compressed or external value into one.
unsafe impl UnboxDatum for TextVector<&[u8]> {
    type As<'src>
        = TextVector<&'src [u8]>
    where
        Self: 'src;
    unsafe fn unbox<'src>(datum: Datum<'src>) -> Self::As<'src>
    where
        Self: 'src,
    {
        // SAFETY: the caller says that it is a tsvector.
        TextVector(unsafe { varlena_to_byte_slice(datum.sans_lifetime().cast_mut_ptr::<pg_sys::varlena>()) })
    }
}

// SAFETY: as for an element of an array.
unsafe impl<'fcx> ArgAbi<'fcx> for TextVector<&'fcx [u8]> {
    unsafe fn unbox_arg_unchecked(arg: Arg<'_, 'fcx>) -> Self {
        // SAFETY: bytes have the same form.
        TextVector(unsafe { arg.unbox_arg_using_from_datum() }.unwrap_or_default())
    }
}
