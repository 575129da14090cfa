//! A file with a secret: whether its name may be told, and who can read it.

use std::path::{Component, Path};

use crate::config::problem::Written;

/// Has the name of a file told, if it is one: somebody may have written the secret itself in its place.
pub(super) fn show(file: &mut Written<String>, folder: &Path) {
    let name = Path::new(&file.value);
    let is_in_a_folder = name.parent().is_some_and(|parent| {
        parent.components().any(|part| matches!(part, Component::Normal(_))) && folder.join(parent).is_dir()
    });
    let ends_like_one = name.extension().is_some_and(|end| ENDINGS.iter().any(|known| end == *known));
    let is_short = file.value.len() <= NAME_BYTES_MAX;
    if is_short && (folder.join(name).exists() || is_in_a_folder || ends_like_one) {
        file.place.text = format!("{:?}", file.value);
    } else if is_short {
        file.place.text.push_str(" (not shown: it may be the secret itself)");
    }
}

/// The mode of a file that everybody may read.
#[cfg(unix)]
pub(super) fn open_to_all(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o7777;
    (mode & 0o004 != 0).then_some(mode)
}

#[cfg(not(unix))]
pub(super) fn open_to_all(_: &Path) -> Option<u32> {
    None
}

/// How the names of such files end.
const ENDINGS: &[&str] = &["pem", "key", "pub", "crt", "der", "jwk", "json", "txt", "secret", "toml"];
/// No name has more.
const NAME_BYTES_MAX: usize = 4_096;
