//! The sessions of a pool that keeps a table of them.

use serde_json::Value;

use super::View;
use super::reply::Failure;
use super::wishes::Which;
