//! x

pub mod doctor;
pub mod service;
