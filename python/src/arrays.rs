//! `NumPy`'s arrays as the library's, without a copy.

use std::path::Path;

use luna::task::dump::{Dump, Flexible, Precision};
use ndarray::{ArrayViewD, IxDyn};
use numpy::{Element, PyArrayDyn, PyArrayMethods, PyUntypedArrayMethods};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::refused;

/// An array under its name in messages, and the name of the type that it had before it was made float32 or float64.
pub(crate) type Named<'py> = (String, Bound<'py, PyAny>, String);

/// The values of an array as attention matrices, or as queries, keys or values.
///
/// # Safety
/// The array must stay referenced as long as the result is used. Others may write to it meanwhile: the library checks the
/// copies that it makes of single matrices, and reads nothing twice that it relies on.
pub(crate) unsafe fn borrowed((name, array, stored): &Named<'_>) -> PyResult<Dump> {
    // SAFETY: the caller keeps the array.
    let values = match unsafe { (view::<f32>(array), view::<f64>(array)) } {
        (Some(view), _) => Flexible::F32(view.into()),
        (_, Some(view)) => Flexible::F64(view.into()),
        _ => return Err(not_prepared(name)),
    };
    let precision = match (stored.as_str(), &values) {
        ("float16", _) => Precision::F16,
        (_, Flexible::F32(_)) => Precision::F32,
        (_, Flexible::F64(_)) => Precision::F64,
    };
    Dump::new(Path::new(name), values, precision).map_err(|error| refused(&error))
}

/// An array that is contiguous, aligned and of this type.
///
/// # Safety
/// As of [`borrowed`].
pub(crate) unsafe fn view<T: Element>(array: &Bound<'_, PyAny>) -> Option<ArrayViewD<'static, T>> {
    let array = array.cast::<PyArrayDyn<T>>().ok()?;
    let (data, shape) = (array.data().cast_const(), IxDyn(array.shape()));
    if !array.is_c_contiguous() || !data.is_aligned() || data.is_null() {
        return None;
    }
    // SAFETY: the elements are at `data` in standard layout, as NumPy says; the caller keeps the array, and with it its memory.
    Some(unsafe { ArrayViewD::from_shape_ptr(shape, data) })
}

/// `luna_attention` prepares arrays: others are a mistake there.
pub(crate) fn not_prepared(name: &str) -> PyErr {
    PyTypeError::new_err(format!("{name}: not a contiguous array of float32 or float64"))
}
