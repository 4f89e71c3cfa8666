//! x
use thirtyfour as _;
