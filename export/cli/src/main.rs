//! The command `mimir-export`; everything is in the library, so that tests can reach it.

fn main() -> std::process::ExitCode {
    mimir_export_cli::main()
}
