//! Signals that end a run in order.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::failure::Blame;

/// A flag that SIGINT (Ctrl-C) and SIGTERM set from now on; a second one ends the process at once.
///
/// A limit on the size of files shows as a failed write instead of a signal that ends the process.
///
/// # Errors
/// When the system does not let a handler be installed.
pub(crate) fn watch() -> io::Result<Arc<AtomicBool>> {
    let interrupted = Arc::new(AtomicBool::new(false));
    watch_for(&interrupted)?;
    Ok(interrupted)
}

#[cfg(unix)]
fn watch_for(interrupted: &Arc<AtomicBool>) -> io::Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM, SIGXFSZ};
    use signal_hook::flag::{register, register_conditional_shutdown};

    for signal in [SIGINT, SIGTERM] {
        // First the one that looks, then the one that sets: so the first signal only sets.
        let exit_code = i32::from(Blame::Interrupted.exit_code());
        register_conditional_shutdown(signal, exit_code, Arc::clone(interrupted))?;
        register(signal, Arc::clone(interrupted))?;
    }
    register(SIGXFSZ, Arc::default())?;
    Ok(())
}

#[cfg(not(unix))]
fn watch_for(interrupted: &Arc<AtomicBool>) -> io::Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM};

    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(interrupted))?;
    }
    Ok(())
}
