//! Maps in a folder: their descriptions under `maps`, their arrays by kernel.

use crate::error::{Error, Result};
use crate::store;
use crate::value::Value as Number;
use dualnet::Resources;
use dualnet::kernel::KernelKind;
use dualnet::model::{NetMap, Parts, Tensor};
use dualnet_io::model_folder;
use serde_json::json;
use std::path::Path;

/// Maps that exist, if a folder with some was named.
pub fn load<T: Number>(folder: Option<&Path>, resources: &Resources) -> Result<Vec<NetMap<T>>> {
    let Some(folder) = folder.filter(|folder| folder.exists()) else { return Ok(Vec::new()) };
    if !folder.join(model_folder::JSON).is_file() {
        return Err(none(Some(folder)));
    }
    let mut all = store::load_parts(folder)?;
    let mut maps = Vec::new();
    for kind in [KernelKind::Nngp, KernelKind::Ntk] {
        if let Some(parts) = taken(&mut all, kind) {
            maps.push(NetMap::from_parts(parts, resources).map_err(Error::within(folder))?);
        }
    }
    if maps.is_empty() { Err(none(Some(folder))) } else { Ok(maps) }
}

/// Saves all maps in one folder.
pub fn save<T: Number>(folder: &Path, maps: &[NetMap<T>]) -> Result<()> {
    let (mut descriptions, mut tensors) = (serde_json::Map::new(), Vec::new());
    for map in maps {
        let (parts, kind) = (map.to_parts()?, map.options().kind.name());
        descriptions.insert(kind.into(), parts.json);
        tensors.extend(parts.tensors.into_iter().map(|t| Tensor { name: format!("{kind}.{}", t.name), ..t }));
    }
    store::save(folder, Parts { json: json!({"maps": descriptions}), tensors })
}

/// There are no maps to take.
pub fn none(folder: Option<&Path>) -> Error {
    let what = folder.map_or_else(|| "--map".into(), |folder| folder.display().to_string());
    let hint = "name a new folder and a net, and the maps are made and saved there";
    Error::argument(&what, "a folder with saved maps (nngp, ntk)", "none", hint)
}

/// The parts of one of the maps of a folder.
fn taken(all: &mut Parts, kind: KernelKind) -> Option<Parts> {
    let json = all.json.get("maps")?.get(kind.name())?.clone();
    let prefix = format!("{}.", kind.name());
    let (own, others) = std::mem::take(&mut all.tensors).into_iter().partition(|t| t.name.starts_with(&prefix));
    all.tensors = others;
    let own: Vec<Tensor> = own;
    let named = |t: Tensor| Tensor { name: t.name[prefix.len()..].into(), ..t };
    Some(Parts { json, tensors: own.into_iter().map(named).collect() })
}
