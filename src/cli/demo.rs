//! `demo` and `demo-server`.

use super::args::DemoArgs;
use super::exit::{Exit, Failure};
use super::out::Out;

#[cfg(not(feature = "demo"))]
pub(super) fn run(_: DemoArgs, _: &mut Out) -> Result<Exit, Failure> {
    Err(Failure::input("this build has no demo: it was built without the feature `demo`"))
}

#[cfg(feature = "demo")]
pub(super) fn run(args: DemoArgs, out: &mut Out) -> Result<Exit, Failure> {
    use crate::demo::{self, DemoError, Options};

    let colour = out.colour;
    let DemoArgs { once, dir, listen } = args;
    match demo::run(&Options { once, dir, listen, colour }, out) {
        Ok(()) => Ok(Exit::Yes),
        Err(DemoError::Start(error)) => Err(super::not_started(&error)),
        Err(error @ DemoError::Input(_)) => Err(Failure::input(error)),
        Err(DemoError::Problems(problems)) => Err(Failure::problems(&problems)),
        // Nobody reads any more.
        Err(DemoError::Output(_)) => Ok(Exit::Yes),
        Err(error) => Err(Failure::fault(error)),
    }
}

#[cfg(feature = "demo")]
pub(super) fn server() -> Result<Exit, Failure> {
    crate::demo::serve_notes().map(|()| Exit::Yes).map_err(Failure::fault)
}
