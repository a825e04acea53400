//! Which file defines what the code of another names.

use std::collections::BTreeSet;

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Item, Macro};

use super::tree::Tree;

/// Re-exports lead to re-exports at most this often.
const DEEPEST: usize = 16;

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Module(usize),
    /// An item, by the module that defines it.
    Item(usize),
}

/// Pairs of files: the first names an item that the second defines.
pub(super) fn imports(tree: &Tree) -> BTreeSet<(usize, usize)> {
    let mut arrows = BTreeSet::new();
    for (id, module) in tree.modules.iter().enumerate() {
        for path in named_paths(tree, id) {
            if let Some(Target::Item(target)) = resolve(tree, id, &path, 0) {
                arrows.insert((module.file, tree.modules[target].file));
            }
        }
    }
    arrows.retain(|(from, to)| from != to);
    arrows
}

/// The paths of a module's own code and of its imports.
fn named_paths(tree: &Tree, id: usize) -> Vec<Vec<String>> {
    let module = &tree.modules[id];
    let private = module.uses.iter().filter(|import| !import.is_reexport && import.name != "*");
    let mut collector = Collector { paths: private.map(|import| import.path.clone()).collect() };
    for item in &module.items {
        if !matches!(item, Item::Use(_)) {
            collector.visit_item(item);
        }
    }
    collector.paths
}

struct Collector {
    paths: Vec<Vec<String>>,
}

impl<'ast> Visit<'ast> for Collector {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.paths.push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        visit::visit_path(self, path);
    }

    /// Imports inside of functions.
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.paths.extend(super::tree::paths_of(item));
    }

    fn visit_macro(&mut self, called: &'ast Macro) {
        visit::visit_macro(self, called);
        self.add_tokens(called.tokens.clone());
    }
}

impl Collector {
    /// Paths among the arguments of a macro: identifiers with `::` between them.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(name) if colons == 2 => path.push(name.to_string()),
                TokenTree::Ident(name) => {
                    self.paths.push(std::mem::replace(&mut path, vec![name.to_string()]));
                }
                TokenTree::Punct(mark) if mark.as_char() == ':' => {
                    colons += 1;
                    continue;
                }
                TokenTree::Group(group) => {
                    self.paths.push(std::mem::take(&mut path));
                    self.add_tokens(group.stream());
                }
                _ => self.paths.push(std::mem::take(&mut path)),
            }
            colons = 0;
        }
        self.paths.push(path);
    }
}

fn resolve(tree: &Tree, from: usize, path: &[String], depth: usize) -> Option<Target> {
    let (first, rest) = path.split_first()?;
    let start = match first.as_str() {
        "crate" => Target::Module(0),
        "self" => Target::Module(from),
        "super" => Target::Module(tree.modules[from].parent?),
        name => look_up(tree, from, name, depth)?,
    };
    rest.iter().try_fold(start, |target, name| match target {
        Target::Module(module) if name == "super" => Some(Target::Module(tree.modules[module].parent?)),
        Target::Module(module) => look_up(tree, module, name, depth),
        // A variant or an associated item belongs to its type.
        item @ Target::Item(_) => Some(item),
    })
}

fn look_up(tree: &Tree, module: usize, name: &str, depth: usize) -> Option<Target> {
    let found = &tree.modules[module];
    if found.defined.iter().any(|defined| defined == name) {
        return Some(Target::Item(module));
    }
    if let Some(child) = found.children.get(name) {
        return Some(Target::Module(*child));
    }
    if depth == DEEPEST {
        return None;
    }
    let named = found.uses.iter().find(|import| import.name == name && import.path != [name]);
    if let Some(import) = named {
        return resolve(tree, module, &import.path, depth + 1);
    }
    let globs = found.uses.iter().filter(|import| import.name == "*");
    globs.into_iter().find_map(|import| match resolve(tree, module, &import.path, depth + 1)? {
        Target::Module(other) if other != module => look_up(tree, other, name, depth + 1),
        _ => None,
    })
}
