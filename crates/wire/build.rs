//! Compiles the proto files with protox (no `protoc` is needed) and keeps their comments in the
//! descriptor set, so that server reflection shows them.

use std::{env, error::Error, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    println!("cargo:rerun-if-changed={}", root.display());
    let served = ["observation", "blocklist", "fleet", "operator", "events", "replay"]
        .map(|name| format!("sekisho/v1/{name}.proto"));
    let kept =
        ["log/v1/log", "log/v1/checkpoint", "state/v1/state"].map(|name| format!("sekisho/{name}.proto"));

    let mut compiler = protox::Compiler::new([&root])?;
    compiler.include_imports(true).include_source_info(true).open_files(&served)?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    // Encoded by protox itself: going through prost's types would lose what they do not know.
    fs::write(out.join("sekisho_v1.bin"), compiler.encode_file_descriptor_set())?;

    compiler.open_files(&kept)?;
    tonic_prost_build::configure().bytes(".").compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
