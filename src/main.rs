//! The `portcullis` program: arguments in, exit code out.

use std::process::ExitCode;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Before anything else: the crypto libraries would otherwise choose for themselves.
    portcullis::identity::install_crypto();
    std::panic::catch_unwind(|| portcullis::cli::run(std::env::args_os()))
        // The panic has been printed; what is left to say is whose fault it was.
        .unwrap_or_else(|_| portcullis::cli::Exit::Fault.into())
}
