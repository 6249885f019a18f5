//! The role `become`: settles on its processors, then turns into another program under the same process id. So no
//! thread of that program ever ran elsewhere, and it ends with the one that leads, however that ends.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context as _, Result};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[arg(long, value_delimiter = ',')]
    cpus: Vec<usize>,
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    command: Vec<String>,
}

pub(crate) fn main(arguments: &Arguments) -> Result<()> {
    super::settle(&arguments.cpus)?;
    let (program, rest) = arguments.command.split_first().context("become what?")?;
    Err(Command::new(program).args(rest).exec()).with_context(|| format!("start {program}"))
}
