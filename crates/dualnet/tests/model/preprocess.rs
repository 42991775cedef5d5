//! Preprocessing against the recipe written out plainly.

use crate::data::{Random, column, frame, numbers, table, words};
use dualnet::Mat;
use dualnet::model::{Bins, Encoding, Frame, Preprocess};

fn learn(frame: &Frame, encoding: Encoding) -> (Preprocess, Mat<f64>) {
    let preprocess = Preprocess::learn(frame, encoding).unwrap();
    let z = preprocess.apply(frame).unwrap();
    (preprocess, z)
}

fn square(z: &Mat<f64>) -> f64 {
    z.as_slice().iter().map(|x| x * x).sum::<f64>() / z.rows() as f64
}

/// The quantile as numpy interpolates it.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let at = q * (sorted.len() - 1) as f64;
    let (low, t) = (at.floor() as usize, at - at.floor());
    let (a, b) = (sorted[low], sorted[(low + 1).min(sorted.len() - 1)]);
    if t < 0.5 { a + (b - a) * t } else { b - (b - a) * (1.0 - t) }
}

/// Columns of one numeric column in the binned encoding, before the common factor.
fn plainly(column: &[f64]) -> Vec<Vec<f64>> {
    let n = column.len() as f64;
    let mean = column.iter().sum::<f64>() / n;
    let deviation = (column.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
    let mut out = vec![column.iter().map(|x| ((x - mean) / deviation).clamp(-3.0, 3.0)).collect::<Vec<f64>>()];
    let mut sorted = column.to_vec();
    sorted.sort_by(f64::total_cmp);
    let mut distinct = sorted.clone();
    distinct.dedup();
    if distinct.len() <= 2 {
        return out;
    }
    let mut edges: Vec<f64> = match distinct.len() {
        u if u <= 16 => distinct.windows(2).map(|w| (w[0] + w[1]) / 2.0).collect(),
        _ => (0..16).map(|b| quantile(&sorted, (b as f64 + 0.5) / 16.0)).collect(),
    };
    edges.dedup();
    let mut block: Vec<Vec<f64>> =
        edges.iter().map(|e| column.iter().map(|x| if x > e { 1.0 } else { -1.0 }).collect()).collect();
    for t in &mut block {
        let mean = t.iter().sum::<f64>() / n;
        t.iter_mut().for_each(|t| *t -= mean);
    }
    let norm = (block.iter().flatten().map(|t| t * t).sum::<f64>() / n).sqrt();
    block.iter_mut().flatten().for_each(|t| *t /= norm);
    out.extend(block);
    if distinct.len() <= 30 {
        out.extend(distinct.iter().map(|v| column.iter().map(|x| f64::from(u8::from(x == v))).collect::<Vec<f64>>()));
    }
    out
}

/// The whole binned matrix of numeric columns.
fn binned(frame: &Frame) -> Mat<f64> {
    let columns: Vec<Vec<f64>> = (0..frame.columns().len()).flat_map(|j| plainly(column(frame, j))).collect();
    let mut z = Mat::from_fn(frame.rows(), columns.len(), |i, j| columns[j][i]);
    let factor = (columns.len() as f64 / square(&z)).sqrt();
    z.as_mut_slice().iter_mut().for_each(|x| *x *= factor);
    z
}

#[test]
fn standardised_with_the_population_deviation_and_clipped() {
    let mut x = vec![0.0; 99];
    x.push(10.0);
    let frame = Frame::new(vec![numbers("x", &x), numbers("z", &vec![7.0; 100])]).unwrap();
    let (p, z) = learn(&frame, Encoding::Plain);
    assert_eq!((p.width(), p.dropped().len(), p.dropped()[0].0.as_str()), (1, 1, "z"));
    // Mean 0.1, variance 0.99: the rare value is 9.95 deviations away and ends at 3.
    let (rare, common) = (3.0, -0.1 / 0.99f64.sqrt());
    let factor = 1.0 / ((rare * rare + 99.0 * common * common) / 100.0).sqrt();
    assert!((z[(99, 0)] - rare * factor).abs() < 1e-13 && (z[(0, 0)] - common * factor).abs() < 1e-13);
}

#[test]
fn words_become_sorted_levels_and_unseen_ones_zeros() {
    let train = Frame::new(vec![words("w", &["b", "a", "b", "c"])]).unwrap();
    let (p, z) = learn(&train, Encoding::Plain);
    let s = 3f64.sqrt();
    assert_eq!(z.as_slice(), &[0.0, s, 0.0, s, 0.0, 0.0, 0.0, s, 0.0, 0.0, 0.0, s]);
    let new = Frame::new(vec![words("extra", &["x", "y"]), words("w", &["d", "c"])]).unwrap();
    assert_eq!(p.apply(&new).unwrap().as_slice(), &[0.0, 0.0, 0.0, 0.0, 0.0, s]);
}

#[test]
fn codes_that_come_as_numbers_find_their_level() {
    let train = Frame::new(vec![words("w", &["01", "2.0", "x", "3"])]).unwrap();
    let (p, _) = learn(&train, Encoding::Plain);
    let z = p.apply(&Frame::new(vec![numbers("w", &[1.0, 2.0, 3.0, 4.0])]).unwrap()).unwrap();
    let hot: Vec<Option<usize>> = (0..4).map(|i| z.row(i).iter().position(|x| *x > 0.0)).collect();
    assert_eq!(hot, [Some(0), Some(1), Some(2), None]);
}

#[test]
fn binned_is_the_recipe() {
    let mut random = Random(3);
    let mut draw = |f: &dyn Fn(f64) -> f64| -> Vec<f64> { (0..200).map(|_| f(random.normal())).collect() };
    let columns = vec![
        numbers("continuous", &draw(&|x| x)),
        numbers("skewed", &draw(&f64::exp)),
        numbers("two", &draw(&|x| f64::from(u8::from(x > 0.0)))),
        numbers("few", &draw(&|x| (2.0 * x).round() / 10.0)),
        numbers("twenty", &draw(&|x| (4.0 * x).round() / 10.0)),
        numbers("mostly one value", &draw(&|x| if x < 1.0 { 0.1 } else { x })),
    ];
    let frame = Frame::new(columns).unwrap();
    let ((_, z), expected) = (learn(&frame, Encoding::Binned), binned(&frame));
    assert_eq!((z.rows(), z.cols()), (expected.rows(), expected.cols()));
    for (a, b) in z.as_slice().iter().zip(expected.as_slice()) {
        assert!((a - b).abs() < 1e-12, "{a} {b}");
    }
}

#[test]
fn an_edge_on_a_frequent_value_is_that_value() {
    // 0.1 (1 - t) + 0.1 t is not always 0.1; rows at the edge are not above it.
    let mut x = vec![0.1; 83];
    x.extend((0..20).map(f64::from).map(|i| 1.0 + i));
    let bins = Bins::learn(&x).unwrap();
    // Quantiles 0.5/16 to 12.5/16 are all 0.1: one edge.
    assert_eq!(bins.width(), 4 + 21);
    let mut code = vec![0.0; 25];
    bins.encode(0.1, &mut code);
    assert!(code[..4].iter().all(|t| *t < 0.0), "{code:?}");
}

#[test]
fn the_tables_of_the_repository_have_the_widths_and_norms_of_the_study() {
    let (airfoil, _) = table("airfoil.csv");
    let (digits, _) = table("digits.csv");
    for (frame, encoding, width) in [
        (&airfoil, Encoding::Plain, 5),
        (&airfoil, Encoding::Binned, 116),
        (&digits, Encoding::Plain, 61),
        (&digits, Encoding::Binned, 1537),
    ] {
        let (p, z) = learn(frame, encoding);
        assert_eq!(p.width(), width);
        assert!((square(&z) / width as f64 - 1.0).abs() < 1e-12);
    }
    // Before the common factor: largest entries are clipped at 3, so their ratio tells the factor.
    for (frame, expected) in [(&airfoil, 4.78802426604), (&digits, 47.3885011837)] {
        let (p, z) = learn(frame, Encoding::Plain);
        let largest = z.as_slice().iter().fold(0.0f64, |m, x| m.max(x.abs()));
        let before = p.width() as f64 * (3.0 / largest).powi(2);
        assert!((before / expected - 1.0).abs() < 1e-10, "{before}");
    }
    assert!(
        learn(&airfoil, Encoding::Binned)
            .1
            .as_slice()
            .iter()
            .zip(binned(&airfoil).as_slice())
            .all(|(a, b)| (a - b).abs() < 1e-12)
    );
}

#[test]
fn shared_keeps_the_ratio_of_spreads() {
    let x = frame(50, 1, 1);
    let (a, b): (Vec<f64>, Vec<f64>) = column(&x, 0).iter().map(|x| (*x, 10.0 * x + 5.0)).unzip();
    let (_, z) = learn(&Frame::new(vec![numbers("a", &a), numbers("b", &b)]).unwrap(), Encoding::Shared);
    assert!((0..50).all(|i| (z[(i, 1)] - 10.0 * z[(i, 0)]).abs() < 1e-12));
    assert!((square(&z) - 2.0).abs() < 1e-12);
}

#[test]
fn offsets_and_scales_change_nothing() {
    let x = frame(64, 1, 5);
    // Multiples of 2^-20, so that adding 2^30 is exact.
    let x: Vec<f64> = column(&x, 0).iter().map(|x| (x * 1_048_576.0).round() / 1_048_576.0).collect();
    let of = |f: &dyn Fn(f64) -> f64, encoding| {
        let x: Vec<f64> = x.iter().map(|x| f(*x)).collect();
        learn(&Frame::new(vec![numbers("x", &x)]).unwrap(), encoding).1
    };
    for encoding in [Encoding::Plain, Encoding::Binned, Encoding::Shared] {
        let plain = of(&|x| x, encoding);
        for other in [
            of(&|x| x + 1_073_741_824.0, encoding),
            of(&|x| x * 2f64.powi(-500), encoding),
            of(&|x| x * 2f64.powi(500), encoding),
        ] {
            let worst = plain.as_slice().iter().zip(other.as_slice()).fold(0.0f64, |m, (a, b)| m.max((a - b).abs()));
            // Quantiles interpolated beside an offset of 2^30 may round across nothing: no value lies that near an edge.
            assert!(worst < 1e-6, "{encoding:?} {worst}");
        }
    }
}

#[test]
fn refusals_name_the_column() {
    let refuse = |columns| {
        let frame = Frame::new(columns).unwrap();
        Preprocess::learn(&frame, Encoding::Plain).unwrap_err().to_string()
    };
    assert!(refuse(vec![words("when", &["2024-01-01", "2024-01-02"])]).contains("\"when\""));
    assert!(refuse(vec![numbers("x", &[1.0, 1.0])]).contains("constant"));
    let many: Vec<String> = (0..2004).map(|i| format!("w{}", i / 2)).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert!(refuse(vec![words("id", &many)]).contains("\"id\": expected at most 1000"));
    let p = Preprocess::learn(&frame(4, 2, 0), Encoding::Plain).unwrap();
    assert!(p.apply(&frame(4, 1, 0)).unwrap_err().to_string().contains("\"x1\""));
    let mixed = Frame::new(vec![words("x0", &["1", "oak"]), numbers("x1", &[0.0, 1.0])]).unwrap();
    assert!(p.apply(&mixed).unwrap_err().to_string().contains("\"oak\" at row 1"));
}
