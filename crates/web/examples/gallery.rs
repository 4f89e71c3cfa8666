//! Writes every page in every state into a folder, to be looked at in a browser.
//!
//! `cargo run -p web --example gallery -- target/gallery`, then open a file in it.

use std::{fs, io, path::Path};

fn main() -> io::Result<()> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "target/gallery".to_owned());
    let folder = Path::new(&folder);
    fs::create_dir_all(folder.join("assets"))?;
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets");
    for asset in fs::read_dir(assets)? {
        let asset = asset?;
        fs::copy(asset.path(), folder.join("assets").join(asset.file_name()))?;
    }
    for (name, html) in web::pages::samples::all() {
        let html = html.map_err(io::Error::other)?.replace("\"/assets/", "\"assets/");
        fs::write(folder.join(format!("{name}.html")), html)?;
    }
    Ok(())
}
