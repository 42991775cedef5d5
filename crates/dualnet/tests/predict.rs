//! Predictions of infinitely wide networks against reference values, every array of `predict.npz`.
#![allow(clippy::unwrap_used)]

use dualnet::predict::{
    DiagonalReg, Ensemble, Flow, Kernels, Time, Tolerance, gp_inference, gradient_descent, max_learning_rate,
    ntk_ensemble, ntk_gp,
};
use dualnet::{Error, Mat, Resources, Result};
use std::collections::BTreeMap;

struct Golden {
    arrays: BTreeMap<String, Mat<f64>>,
    seen: std::cell::RefCell<Vec<String>>,
}

impl Golden {
    fn load() -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/predict.npz");
        let mut archive = npyz::npz::NpzArchive::open(path).unwrap();
        let names: Vec<String> = archive.array_names().map(String::from).collect();
        let mut load = |name: &String| {
            let array = archive.by_name(name).unwrap().unwrap();
            let (rows, cols) = (array.shape()[0] as usize, array.shape()[1] as usize);
            (name.clone(), Mat::from_vec(rows, cols, array.into_vec::<f64>().unwrap()).unwrap())
        };
        Self { arrays: names.iter().map(&mut load).collect(), seen: Default::default() }
    }

    fn get(&self, name: &str) -> &Mat<f64> {
        self.seen.borrow_mut().push(name.into());
        &self.arrays[name]
    }

    fn kernels(&self, which: &str) -> Kernels<'_> {
        let part = |p: &str| self.get(&format!("k_{p}.{which}")).as_ref();
        Kernels { train: part("dd"), test: part("td"), own: part("tt") }
    }

    fn agrees(&self, name: &str, found: &Mat<f64>, tolerance: f64) {
        let expected = self.get(name);
        assert_eq!((found.rows(), found.cols()), (expected.rows(), expected.cols()), "{name}");
        for (found, expected) in found.as_slice().iter().zip(expected.as_slice()) {
            assert!((found - expected).abs() <= tolerance * expected.abs().max(1.0), "{name}: {found} {expected}");
        }
    }
}

const REG: DiagonalReg = DiagonalReg::Relative(1e-3);
const TIMES: [(&str, Time); 4] =
    [("None", Time::Infinity), ("0.5", Time::At(0.5)), ("10.0", Time::At(10.0)), ("10000.0", Time::At(1e4))];

#[test]
fn every_reference_array_is_reproduced() -> Result<()> {
    let golden = Golden::load();
    let resources = Resources::new(2)?;
    let (nngp, ntk, y) = (golden.kernels("nngp"), golden.kernels("ntk"), golden.get("y_train").as_ref());
    for (name, posterior) in [
        ("nngp", gp_inference(nngp, y, REG, &resources)?),
        ("ntk", ntk_ensemble(nngp, ntk, y, REG, &resources)?),
        ("ntkgp", ntk_gp(ntk, y, REG, &resources)?),
    ] {
        golden.agrees(&format!("gp.{name}.mean"), &posterior.mean, 1e-10);
        golden.agrees(&format!("gp.{name}.cov"), &posterior.covariance, 1e-10);
    }
    let ensemble = Ensemble::new(nngp, ntk, y, 0.7, REG, &resources)?;
    let flow = Flow::new(ntk.train, 0.7, REG, &resources)?;
    let (f0, f0_test) = (golden.get("fx_train_0").as_ref(), golden.get("fx_test_0").as_ref());
    for (name, time) in TIMES {
        for (which, gaussian, train) in [
            ("nngp", ensemble.nngp(time, &resources)?, ensemble.nngp_train(time, &resources)?),
            ("ntk", ensemble.ntk(time, &resources)?, ensemble.ntk_train(time, &resources)?),
        ] {
            golden.agrees(&format!("ens.t{name}.{which}.mean"), &gaussian.mean, 1e-10);
            golden.agrees(&format!("ens.t{name}.{which}.cov"), &gaussian.covariance, 1e-10);
            golden.agrees(&format!("ens_train.t{name}.{which}.mean"), &train, 1e-10);
        }
        golden.agrees(&format!("gdmse.t{name}.train"), &flow.train(time, f0, y, &resources)?, 1e-10);
        let test = flow.test(time, ntk.test, f0_test, f0, y, &resources)?;
        golden.agrees(&format!("gdmse.t{name}.test"), &test, 1e-10);
    }
    let count = (y.rows() * y.cols()) as f64;
    let gradient =
        |f: dualnet::MatRef<'_, f64>| Ok(Mat::from_fn(f.rows(), f.cols(), |i, j| (f.row(i)[j] - y.row(i)[j]) / count));
    let (train, test) = gradient_descent(ntk, gradient, (f0, f0_test), 0.1, 5.0, Tolerance::default(), &resources)?;
    golden.agrees("gdode.t5.train", &train, 1e-7);
    golden.agrees("gdode.t5.test", &test, 1e-7);

    let seen = golden.seen.borrow();
    let inputs = ["x_train", "x_test"];
    let missed: Vec<_> = golden.arrays.keys().filter(|k| !seen.contains(k) && !inputs.contains(&k.as_str())).collect();
    assert!(missed.is_empty(), "{missed:?}");
    Ok(())
}

#[test]
fn a_general_loss_follows_the_closed_form_of_the_squared_one() -> Result<()> {
    let golden = Golden::load();
    let resources = Resources::new(1)?;
    let (ntk, y) = (golden.kernels("ntk"), golden.get("y_train").as_ref());
    let (f0, f0_test) = (golden.get("fx_train_0").as_ref(), golden.get("fx_test_0").as_ref());
    let flow = Flow::new(ntk.train, 0.7, DiagonalReg::Absolute(0.0), &resources)?;
    let count = (y.rows() * y.cols()) as f64;
    let gradient =
        |f: dualnet::MatRef<'_, f64>| Ok(Mat::from_fn(f.rows(), f.cols(), |i, j| (f.row(i)[j] - y.row(i)[j]) / count));
    let (train, test) = gradient_descent(ntk, gradient, (f0, f0_test), 0.7, 300.0, Tolerance::default(), &resources)?;
    let time = Time::At(300.0);
    let expected = flow.test(time, ntk.test, f0_test, f0, y, &resources)?;
    for (found, expected) in test.as_slice().iter().zip(expected.as_slice()) {
        assert!((found - expected).abs() < 1e-7, "{found} {expected}");
    }
    let expected = flow.train(time, f0, y, &resources)?;
    for (found, expected) in train.as_slice().iter().zip(expected.as_slice()) {
        assert!((found - expected).abs() < 1e-7, "{found} {expected}");
    }
    Ok(())
}

#[test]
fn singular_kernels_and_wrong_arguments_are_refused() -> Result<()> {
    let resources = Resources::new(1)?;
    let ones = Mat::from_fn(2, 2, |_, _| 1.0);
    let y = Mat::from_fn(2, 1, |i, _| i as f64);
    let kernels = Kernels { train: ones.as_ref(), test: ones.as_ref(), own: ones.as_ref() };
    let none = DiagonalReg::Absolute(0.0);
    assert!(matches!(gp_inference(kernels, y.as_ref(), none, &resources), Err(Error::NotPositiveDefinite { .. })));
    let zeros = Mat::zeros(2, 2);
    let flow = Flow::new(zeros.as_ref(), 1.0, none, &resources)?;
    let (start, test) = (Mat::zeros(2, 1), Mat::zeros(2, 1));
    let end = flow.test(Time::Infinity, ones.as_ref(), test.as_ref(), start.as_ref(), y.as_ref(), &resources);
    assert!(matches!(end, Err(Error::NotPositiveDefinite { .. })), "{end:?}");
    let early = flow.test(Time::At(1.0), ones.as_ref(), test.as_ref(), start.as_ref(), y.as_ref(), &resources)?;
    assert_eq!(early.as_slice(), &[0.5, 0.5]);
    assert!(flow.train(Time::At(-1.0), start.as_ref(), y.as_ref(), &resources).is_err());
    assert!(Flow::new(ones.as_ref(), f64::NAN, none, &resources).is_err());
    assert!(Flow::new(Mat::zeros(0, 0).as_ref(), 1.0, none, &resources).is_err());
    assert!(gp_inference(kernels, y.as_ref(), DiagonalReg::Relative(-1.0), &resources).is_err());
    let three = Mat::zeros(3, 1);
    assert!(matches!(gp_inference(kernels, three.as_ref(), REG, &resources), Err(Error::Shape { .. })));
    assert!(max_learning_rate(zeros.as_ref(), 1, 0.0, &resources).is_err());
    let few = Tolerance { most_steps: 3, ..Tolerance::default() };
    let stiff = Mat::from_fn(2, 2, |i, j| if i == j { 1e6 } else { 0.0 });
    let kernels = Kernels { train: stiff.as_ref(), test: stiff.as_ref(), own: stiff.as_ref() };
    let start = (y.as_ref(), y.as_ref());
    assert!(gradient_descent(kernels, |f| Ok(f.to_mat()), start, 1.0, 1.0, few, &resources).is_err());
    Ok(())
}
