//! Puts pages, if `npm run build` has made them, into the binary: the demo's as `DEMO`, and the one that shows the HTTP API as
//! `REFERENCE`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let web = Path::new("../web");
    // Watching a folder that is missing would make cargo compile the hub each time.
    println!("cargo::rerun-if-changed={}", web.display());
    println!("cargo::rerun-if-changed=build.rs");

    let mut tables = String::new();
    for (name, folder) in [("DEMO", "dist"), ("REFERENCE", "reference/dist")] {
        tables.push_str(&table(name, &web.join(folder))?);
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::write(out.join("files.rs"), tables)
}

/// The files of a folder, or none.
fn table(name: &str, folder: &Path) -> io::Result<String> {
    let page = folder.canonicalize();
    let mut files = BTreeSet::new();
    if let Ok(page) = &page {
        gather(page, &mut files)?;
    }
    let mut table = format!("/// Files of a page.\npub static {name}: &[File] = &[\n");
    for file in files {
        let path = page.as_ref().map_or(file.as_path(), |page| file.strip_prefix(page).unwrap_or(&file));
        let path = path.to_string_lossy().replace('\\', "/");
        let etag = format!("\"{:016x}\"", hash(&fs::read(&file)?));
        let _ = writeln!(
            table,
            "    File {{ path: {path:?}, bytes: include_bytes!({file:?}), etag: {etag:?} }},"
        );
    }
    table.push_str("];\n");
    Ok(table)
}

fn gather(folder: &Path, files: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            gather(&entry.path(), files)?;
        } else {
            files.insert(entry.path());
        }
    }
    Ok(())
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}
