//! The modules of a crate: which file each is in, what it defines and which names it brings in.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use syn::{Attribute, Item, ItemUse, UseTree, Visibility};

/// One module.
pub(super) struct Module {
    pub(super) parent: Option<usize>,
    /// Its source file, by its place in [`Tree::files`]. An inline module has its parent's.
    pub(super) file: usize,
    /// Nested modules apart.
    pub(super) items: Vec<Item>,
    pub(super) children: BTreeMap<String, usize>,
    pub(super) defined: Vec<String>,
    pub(super) uses: Vec<Use>,
}

/// One name that a `use` brings in.
#[derive(Debug, Clone)]
pub(super) struct Use {
    /// `*` for a glob.
    pub(super) name: String,
    pub(super) path: Vec<String>,
    pub(super) is_reexport: bool,
}

/// A crate's modules. The root is number 0.
pub(super) struct Tree {
    folder: PathBuf,
    pub(super) files: Vec<PathBuf>,
    pub(super) modules: Vec<Module>,
}

impl Tree {
    /// Reads `lib.rs` and every file that its `mod` lines lead to, tests apart.
    pub(super) fn read(folder: &Path) -> Self {
        let mut tree = Self { folder: folder.to_owned(), files: Vec::new(), modules: Vec::new() };
        tree.add_file(None, folder.join("lib.rs"), folder);
        tree
    }

    /// The path of a file below the folder of the crate.
    pub(super) fn shown(&self, file: usize) -> String {
        let path = &self.files[file];
        path.strip_prefix(&self.folder).unwrap_or(path).display().to_string()
    }

    /// The names of the modules below the root.
    pub(super) fn top_modules(&self) -> impl Iterator<Item = String> {
        self.modules[0].children.keys().cloned()
    }

    /// The module below the root that a file belongs to.
    pub(super) fn top_module(&self, file: usize) -> Option<String> {
        let shown = self.shown(file);
        let first = shown.split('/').next()?.trim_end_matches(".rs");
        self.modules[0].children.contains_key(first).then(|| first.to_owned())
    }

    fn add_file(&mut self, parent: Option<usize>, path: PathBuf, folder: &Path) -> usize {
        let text =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        self.files.push(path);
        self.add_module(parent, self.files.len() - 1, parsed.items, folder)
    }

    fn add_module(&mut self, parent: Option<usize>, file: usize, items: Vec<Item>, folder: &Path) -> usize {
        let id = self.modules.len();
        let kept = items.into_iter().filter(|item| !is_for_tests(attributes(item)));
        let (nested, items): (Vec<Item>, Vec<Item>) = kept.partition(|item| matches!(item, Item::Mod(_)));
        let defined = items.iter().filter_map(defined_name).collect();
        let uses = items.iter().flat_map(uses_of).collect();
        self.modules.push(Module { parent, file, items, children: BTreeMap::new(), defined, uses });
        for module in nested {
            let Item::Mod(module) = module else { continue };
            let name = module.ident.to_string();
            let below = folder.join(&name);
            let child = match module.content {
                Some((_, items)) => self.add_module(Some(id), file, items, &below),
                None => self.add_file(Some(id), file_of(folder, &name), &below),
            };
            self.modules[id].children.insert(name, child);
        }
        id
    }
}

fn file_of(folder: &Path, name: &str) -> PathBuf {
    let alone = folder.join(format!("{name}.rs"));
    if alone.is_file() { alone } else { folder.join(name).join("mod.rs") }
}

/// `#[cfg(test)]` and `#[test]`.
fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let is_cfg_test = attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Ident>().is_ok_and(|argument| argument == "test");
        is_cfg_test || attribute.path().is_ident("test")
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn defined_name(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        _ => return None,
    };
    Some(name.to_string())
}

fn uses_of(item: &Item) -> Vec<Use> {
    let mut found = Vec::new();
    if let Item::Use(ItemUse { tree, vis, .. }) = item {
        let is_reexport = !matches!(vis, Visibility::Inherited);
        flatten(tree, &mut Vec::new(), is_reexport, &mut found);
    }
    found
}

/// The paths that a `use` names.
pub(super) fn paths_of(item: &ItemUse) -> impl Iterator<Item = Vec<String>> {
    let mut found = Vec::new();
    flatten(&item.tree, &mut Vec::new(), false, &mut found);
    found.into_iter().map(|import| import.path)
}

fn flatten(tree: &UseTree, before: &mut Vec<String>, is_reexport: bool, found: &mut Vec<Use>) {
    let mut add = |last: Option<String>, name: String| {
        // `use a::b::{self}` names `b`.
        let path: Vec<String> = before.iter().cloned().chain(last.filter(|last| last != "self")).collect();
        let name = if name == "self" { path.last().cloned().unwrap_or_default() } else { name };
        found.push(Use { name, path, is_reexport });
    };
    match tree {
        UseTree::Path(path) => {
            before.push(path.ident.to_string());
            flatten(&path.tree, before, is_reexport, found);
            before.pop();
        }
        UseTree::Name(name) => add(Some(name.ident.to_string()), name.ident.to_string()),
        UseTree::Rename(rename) => add(Some(rename.ident.to_string()), rename.rename.to_string()),
        UseTree::Glob(_) => add(None, "*".to_owned()),
        UseTree::Group(group) => {
            for tree in &group.items {
                flatten(tree, before, is_reexport, found);
            }
        }
    }
}
