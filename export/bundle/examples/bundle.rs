//! Opens and checks a bundle, and writes it again in the other form where a second path is given:
//! `cargo run --release -p mimir-bundle --example bundle -- PATH [NEW_PATH]`.

use std::path::Path;
use std::time::Instant;

use mimir_bundle::bundle::Bundle;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("give the path of a bundle")?;
    let start = Instant::now();
    let bundle = Bundle::open(Path::new(&path))?;
    let seconds = start.elapsed().as_secs_f64();
    let bytes: u64 = bundle.files().map(|file| file.digest().bytes).sum();
    println!("opened and checked {bytes} bytes in {seconds:.3} s: {:.0} MB/s", bytes as f64 / 1e6 / seconds);
    for file in bundle.files() {
        println!("{}  {}", file.digest().sha256, file.name());
    }
    if let Some(other) = arguments.next() {
        bundle.write_new(Path::new(&other))?;
    }
    Ok(())
}
