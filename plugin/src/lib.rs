//! kubectl isbsvc.
