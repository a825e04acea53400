//! mimir-train

fn main() {
    println!("{}", mimir_train::random::for_name(0, "x").get_word_pos());
}
