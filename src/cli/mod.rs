//! The command line: one file per verb. Answers go to stdout, everything else to stderr.

mod access;
mod approvals;
mod args;
mod audit;
mod check;
mod connect;
mod demo;
mod exit;
mod explain;
mod health;
mod init;
mod key;
mod out;
mod replay;
mod schema;
mod source;
mod test;
mod token;
mod tools_file;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser as _;

pub use exit::Exit;

use crate::app;
use args::{Cli, ConfigArg, KeyVerb, Verb};
use exit::Failure;
use out::Out;

/// Runs the program with `args`, the first of which is its name.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers; anything else is wrong usage. A reader that went away needs neither.
            let _ = error.print();
            return if error.use_stderr() { Exit::Input.into() } else { Exit::Yes.into() };
        }
    };
    let mut out = Out::process();
    let exit = verb(cli.verb, &mut out).unwrap_or_else(|failure| {
        for line in &failure.lines {
            out.note(line);
        }
        failure.exit
    });
    out.finish(exit).into()
}

fn verb(verb: Verb, out: &mut Out) -> Result<Exit, Failure> {
    match verb {
        Verb::Serve(config) => serve(&config),
        Verb::Check(args) => check::run(&args, out),
        Verb::Demo(args) => demo::run(args, out),
        #[cfg(feature = "demo")]
        Verb::DemoServer => demo::server(),
        Verb::Token(args) => token::run(args, out),
        Verb::Key { verb: KeyVerb::New(args) } => key::new(args, out),
        Verb::Schema { of } => schema::run(of, out),
        Verb::Version => {
            out.line(format_args!("portcullis {}", env!("CARGO_PKG_VERSION")));
            Ok(Exit::Yes)
        }
        Verb::Health { address, ready } => health::run(address, ready, out),
        Verb::Connect(args) => connect::run(args),
        Verb::Test(args) => test::run(&args, out),
        Verb::Explain(args) => explain::run(&args, out),
        Verb::Access(args) => access::run(&args, out),
        Verb::Replay(args) => replay::run(&args, out),
        Verb::Init(args) => init::run(args, out),
        Verb::Lock(_) => Err(Failure::not_built("lock")),
        Verb::Audit(args) => audit::run(args, out),
        Verb::Approvals(args) => approvals::run(args, out),
        Verb::Completions(_) => Err(Failure::not_built("completions")),
        Verb::Man(_) => Err(Failure::not_built("man")),
    }
}

fn serve(config: &ConfigArg) -> Result<Exit, Failure> {
    app::serve(&config.config).map(|()| Exit::Yes).map_err(|error| not_started(&error))
}

/// What to say, and whose fault it is, where the gateway did not start.
fn not_started(error: &app::StartError) -> Failure {
    match error.problems() {
        [] if error.is_input() => Failure::input(error),
        [] => Failure::fault(error),
        problems => Failure::problems(problems),
    }
}
