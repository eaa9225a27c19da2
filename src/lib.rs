//! The shared library of isbsvc.
