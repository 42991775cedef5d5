//! Features of the kernel of a net by one of five methods, with all that is needed to make them again.

mod sparse;

pub use sparse::SparseError;

use super::embedding::check_generator;
use super::saved::{FORMAT, Parts, check_format, damaged, take, tensor};
use super::{invalid, relative_error};
use crate::error::Result;
use crate::features::landmarks::LandmarkMethod;
use crate::features::{
    FeatureMap, HomogeneousOptions, HomogeneousSketch, Landmarks, NetFeatureOptions, NetFeatures, NystromFeatures,
    Root, SparseInput, transform,
};
use crate::gram;
use crate::kernel::{Float, InputShape, KernelKind, NetKernel};
use crate::linalg::{Mat, MatMut, MatRef};
use crate::net::Net;
use crate::random::GENERATOR;
use crate::resources::Resources;
use crate::simd::Isa;
use serde::{Deserialize, Serialize};

/// How features are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MapMethod {
    /// [`NetFeatures`]: any net, no data needed, images too.
    Random,
    /// [`HomogeneousSketch`]: nets of ReLUs without biases.
    Sketch,
    /// [`NetFeatures`] by sketches of each activation's powers ([`Rest::Sketch`](crate::features::Rest::Sketch)): any net, images too.
    Layers,
    /// [`NystromFeatures`] by rows chosen at random.
    Nystrom,
    /// [`NystromFeatures`] by rows chosen by randomly pivoted Cholesky.
    RpCholesky,
}

impl MapMethod {
    /// The sketch that serves `net`: of the whole net where it is one of ReLUs without biases and `dim` is enough for it, else layer by layer.
    pub fn sketch(net: &Net, shape: &InputShape, dim: usize) -> Self {
        let options = HomogeneousOptions::default();
        let whole = shape.positions.is_empty() && HomogeneousSketch::<f64>::serves(net, shape.width(), dim, options);
        if whole { Self::Sketch } else { Self::Layers }
    }
}

/// What features are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapOptions {
    /// How.
    pub method: MapMethod,
    /// Of which kernel.
    pub kind: KernelKind,
    /// How many.
    pub dim: usize,
    /// Degree of a sketch; `None`: 16 for that of a whole net, chosen for each activation for that by layers.
    pub degree: Option<usize>,
}

/// The description in `model.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Description {
    format: u32,
    version: String,
    map: MapMethod,
    kernel: KernelKind,
    net: serde_json::Value,
    positions: Vec<usize>,
    channels: usize,
    dim: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    degree: Option<usize>,
    /// Columns of sparse rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sparse: Option<usize>,
    precision: String,
    seed: u64,
    generator: u32,
}

/// A feature map of the NNGP or NTK of a net.
///
/// ```
/// use dualnet::kernel::{InputShape, KernelKind};
/// use dualnet::model::{NetMap, MapMethod, MapOptions};
/// use dualnet::{Mat, Resources, net::Net};
/// let x = Mat::from_fn(50, 3, |i, j| ((i * (j + 2)) % 7) as f64 - 3.0);
/// let options = MapOptions { method: MapMethod::RpCholesky, kind: KernelKind::Ntk, dim: 20, degree: None };
/// let (net, resources) = (Net::parse("fc-relu-1")?, Resources::new(1)?);
/// let map = NetMap::make(&net, &InputShape::vector(3), options, x.as_ref(), &resources)?;
/// assert!(map.error(x.as_ref(), 50, &resources)? < 0.02);
/// # Ok::<(), dualnet::Error>(())
/// ```
#[derive(Debug)]
pub struct NetMap<T: Float> {
    map: Map<T>,
    net: Net,
    shape: InputShape,
    options: MapOptions,
    /// What makes sparse rows dense, where the map is one of sparse rows.
    input: Option<SparseInput<T>>,
    seed: u64,
}

#[derive(Debug)]
enum Map<T: Float> {
    Net(Box<NetFeatures<T>>),
    Sketch(Box<HomogeneousSketch<T>>),
    Nystrom(Box<NystromFeatures<T, NetKernel>>),
}

impl<T: Float> NetMap<T> {
    /// Draws the map, with the seed of `resources`; landmarks are chosen from the rows of `x`.
    ///
    /// # Errors
    /// Those of the method: a layer it has no features of, too few features, no rows to choose landmarks from; memory.
    pub fn make(
        net: &Net,
        shape: &InputShape,
        options: MapOptions,
        x: MatRef<'_, T>,
        resources: &Resources,
    ) -> Result<Self> {
        let MapOptions { method, kind, dim, .. } = options;
        let map = match method {
            MapMethod::Random | MapMethod::Sketch | MapMethod::Layers => Map::draw(net, shape, options, resources)?,
            MapMethod::Nystrom | MapMethod::RpCholesky => {
                let how = match method {
                    MapMethod::Nystrom => LandmarkMethod::Uniform,
                    _ => LandmarkMethod::rp_cholesky(),
                };
                let kernel = NetKernel::new(net, shape)?;
                let landmarks = Landmarks::choose(&kernel, x, kind, dim, how, resources)?.samples(x)?;
                let root = Root::suited_to(landmarks.rows());
                let map = NystromFeatures::new(kernel, kind, landmarks.as_ref(), dim, root, resources)?;
                Map::Nystrom(Box::new(map))
            }
        };
        Ok(Self { map, net: net.clone(), shape: shape.clone(), options, input: None, seed: resources.seed })
    }

    /// What was asked for.
    pub fn options(&self) -> &MapOptions {
        &self.options
    }
    /// The net.
    pub fn net(&self) -> &Net {
        &self.net
    }
    /// What samples look like.
    pub fn shape(&self) -> &InputShape {
        &self.shape
    }
    /// Degrees of a sketch: of a whole net one, by layers that of each activation with its position; none of other methods.
    pub fn degrees(&self) -> Vec<(String, usize)> {
        match &self.map {
            Map::Net(map) => map.degrees().to_vec(),
            Map::Sketch(map) => vec![("the net".into(), map.coefficients().len().saturating_sub(1))],
            Map::Nystrom(_) => Vec::new(),
        }
    }

    /// Relative error in the Frobenius norm among up to `most` rows of `x`, spread evenly: |Phi Phi^T - K| / |K|. Cost most^2 / 2 values of the
    /// exact kernel.
    ///
    /// # Errors
    /// Those of the kernel and of [`transform`].
    pub fn error(&self, x: MatRef<'_, T>, most: usize, resources: &Resources) -> Result<f64> {
        let rows = spread(x.rows(), most);
        let some = x.select_rows(&rows);
        let kernel = NetKernel::new(&self.net, &self.shape)?;
        let exact =
            self.options.kind.matrix(gram::symmetric(&kernel, some.as_ref(), self.options.kind.get(), resources)?)?;
        let features = transform(self, some.as_ref(), resources)?;
        Ok(relative_error(&features, &exact))
    }

    /// Takes the map apart: a drawn one is its seed, landmarks are stored.
    ///
    /// # Errors
    /// None that are known.
    pub fn to_parts(&self) -> Result<Parts> {
        let net = serde_json::from_str(&self.net.to_json()).map_err(|e| damaged("net", &e.to_string()))?;
        let description = Description {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").into(),
            map: self.options.method,
            kernel: self.options.kind,
            net,
            positions: self.shape.positions.clone(),
            channels: self.shape.channels,
            dim: self.options.dim,
            degree: self.options.degree,
            sparse: self.input.as_ref().map(SparseInput::columns),
            precision: T::NAME.into(),
            seed: self.seed,
            generator: GENERATOR,
        };
        let tensors = match &self.map {
            Map::Nystrom(map) => vec![
                tensor("landmarks", map.landmarks().as_ref().cast()),
                tensor("weights", map.weights().as_ref().cast()),
            ],
            _ => Vec::new(),
        };
        let json = serde_json::to_value(&description).map_err(|e| damaged("description", &e.to_string()))?;
        Ok(Parts { json, tensors })
    }

    /// Puts a map together: the same bits on the same instruction set.
    ///
    /// # Errors
    /// Another format, generator or precision; fields or arrays missing or not what dualnet writes.
    pub fn from_parts(mut parts: Parts, resources: &Resources) -> Result<Self> {
        check_format(&parts.json)?;
        let said: Description =
            serde_json::from_value(parts.json).map_err(|e| damaged("a feature map", &e.to_string()))?;
        check_generator(said.generator, "a feature map")?;
        if said.precision != T::NAME {
            let hint = "ask for the precision of the map";
            return Err(invalid("the precision of a feature map", T::NAME, &said.precision, hint));
        }
        let net = Net::from_json(&said.net.to_string())?;
        let shape = InputShape { positions: said.positions, channels: said.channels };
        let options = MapOptions { method: said.map, kind: said.kernel, dim: said.dim, degree: said.degree };
        let seeded = resources.clone().with_seed(said.seed);
        let input = said.sparse.map(|columns| SparseInput::draw(columns, shape.width(), &seeded)).transpose()?;
        let map = match said.map {
            MapMethod::Random | MapMethod::Sketch | MapMethod::Layers => Map::draw(&net, &shape, options, &seeded)?,
            MapMethod::Nystrom | MapMethod::RpCholesky => {
                let landmarks = take(&mut parts.tensors, "landmarks", &[None, Some(shape.width())])?;
                let weights = take(&mut parts.tensors, "weights", &[Some(landmarks.rows()), Some(said.dim)])?;
                let (landmarks, weights): (Mat<T>, Mat<T>) = (landmarks.as_ref().cast(), weights.as_ref().cast());
                let kernel = NetKernel::new(&net, &shape)?;
                let map = NystromFeatures::with_parts(kernel, said.kernel, landmarks, weights, resources)?;
                Map::Nystrom(Box::new(map))
            }
        };
        Ok(Self { map, net, shape, options, input, seed: said.seed })
    }
}

/// Up to `most` of `n` rows.
fn spread(n: usize, most: usize) -> Vec<usize> {
    let count = n.min(most.max(1));
    (0..count).map(|i| i * n / count).collect()
}

impl<T: Float> Map<T> {
    /// What needs no data.
    fn draw(net: &Net, shape: &InputShape, options: MapOptions, resources: &Resources) -> Result<Self> {
        let MapOptions { method, kind, dim, degree } = options;
        if method == MapMethod::Sketch {
            let degree = degree.unwrap_or(HomogeneousOptions::default().degree);
            let sketch = HomogeneousOptions { get: kind.get(), degree };
            return Ok(Map::Sketch(Box::new(HomogeneousSketch::draw(net, shape.width(), dim, sketch, resources)?)));
        }
        let options = NetFeatureOptions::new(kind, dim);
        let options = if method == MapMethod::Layers { options.sketched(degree) } else { options };
        Ok(Map::Net(Box::new(NetFeatures::draw(net, shape, &options, resources)?)))
    }

    fn map(&self) -> &dyn FeatureMap<T> {
        match self {
            Map::Net(map) => map.as_ref(),
            Map::Sketch(map) => map.as_ref(),
            Map::Nystrom(map) => map.as_ref(),
        }
    }
}

impl<T: Float> FeatureMap<T> for NetMap<T> {
    fn inputs(&self) -> usize {
        self.map.map().inputs()
    }
    fn dim(&self) -> usize {
        self.options.dim
    }
    fn scratch(&self) -> usize {
        self.map.map().scratch()
    }
    fn tile(&self, x: MatRef<'_, T>, out: MatMut<'_, T>, scratch: &mut [T], isa: Isa) -> Result<()> {
        self.map.map().tile(x, out, scratch, isa)
    }
}
