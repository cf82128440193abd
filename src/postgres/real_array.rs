//! An array of the type real[], as a result of the engine's functions.

use pgrx::callconv::{BoxRet, FcInfo};
use pgrx::datum::Datum;
use pgrx::pgrx_sql_entity_graph::metadata::{
    ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin,
};
use pgrx::{IntoDatum, pg_sys};

/// The bytes of an array after its length. (pgrx adds the elements one by one.)
pub(crate) struct RealArray(Vec<u8>);

impl RealArray {
    /// An array of one dimension, as `src/include/utils/array.h` describes it.
    pub(crate) fn new(numbers: &[f32]) -> Self {
        let (dimensions, no_nulls, first) = (1, 0, 1);
        let element = pg_sys::FLOAT4OID.to_u32();
        let header: &[u32] = match numbers.len() as u32 {
            0 => &[0, no_nulls, element],
            length => &[dimensions, no_nulls, element, length, first],
        };
        let mut bytes = Vec::with_capacity(size_of_val(header) + size_of_val(numbers));
        bytes.extend(header.iter().flat_map(|field| field.to_ne_bytes()));
        bytes.extend(numbers.iter().flat_map(|number| number.to_ne_bytes()));
        RealArray(bytes)
    }
}

// SAFETY: Postgres keeps an array as it keeps bytes: a length, and what follows.
unsafe impl SqlTranslatable for RealArray {
    const TYPE_IDENT: &'static str = "RealArray";
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Ok(SqlMappingRef::literal("real[]"));
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> =
        Ok(ReturnsRef::One(SqlMappingRef::literal("real[]")));
}

// SAFETY: the bytes are copied to where Postgres expects them. They are those of an array.
unsafe impl BoxRet for RealArray {
    unsafe fn box_into<'fcx>(self, fcinfo: &mut FcInfo<'fcx>) -> Datum<'fcx> {
        match self.into_datum() {
            // SAFETY: the datum is of the function's type.
            Some(datum) => unsafe { fcinfo.return_raw_datum(datum) },
            None => fcinfo.return_null(),
        }
    }
}

impl IntoDatum for RealArray {
    fn into_datum(self) -> Option<pg_sys::Datum> {
        self.0.into_datum()
    }

    fn type_oid() -> pg_sys::Oid {
        pg_sys::FLOAT4ARRAYOID
    }
}
