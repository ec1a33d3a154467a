//! The Python package of luna: the command line, and the studies on arrays in memory.
//!
//! What Python calls is in `luna_attention/__init__.py`, which brings arrays into a form that is read here without a copy, and
//! options into the flags of the command. Nothing is computed here that the library does not compute for the command.

mod answer;
#[allow(unsafe_code)] // the memory of NumPy's arrays is read in place
mod arrays;
#[allow(unsafe_code)] // as of `arrays`
mod heads;
#[allow(unsafe_code)] // as of `arrays`
mod study;
mod work;

use std::path::PathBuf;

use luna::profile::memory::Counting;
use luna::report::printable;
use luna::study::runs::Run;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Counts what a piece of work allocates, for `scale-sweep`, as the program does.
#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What the program would print after `luna: `.
fn refused(error: &luna::Error) -> PyErr {
    PyValueError::new_err(printable(&error.to_string()))
}

#[pymodule]
mod _luna {
    use super::{PathBuf, PyResult, Python, Run, answer, pyfunction, refused};

    #[pymodule_export]
    use super::heads::attention;
    #[pymodule_export]
    use super::study::study;

    /// Runs the program with these arguments, the first of which is the script that starts it again; the exit code.
    #[pyfunction]
    fn main(py: Python<'_>, arguments: Vec<std::ffi::OsString>) -> u8 {
        if let Some(program) = arguments.first() {
            luna::cli::executable::set(PathBuf::from(program));
        }
        py.detach(|| luna::cli::main(arguments))
    }

    /// The result of a finished run.
    #[pyfunction]
    fn read(py: Python<'_>, path: PathBuf) -> PyResult<answer::Answer<'_>> {
        let run = py.detach(|| Run::open(&path)).map_err(|error| refused(&error))?;
        answer::of_report(py, &run.report, &[])
    }
}
